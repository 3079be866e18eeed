//! What is no signed token in compact form.

use super::*;

const BAD: &str = "invalid_token";

pub fn cases() -> Vec<Case> {
    let swap = |place: usize, with: &'static str| {
        move |token: &str| {
            let mut parts: Vec<&str> = token.split('.').collect();
            parts[place] = with;
            parts.join(".")
        }
    };
    let header = |text: &'static str| move |token: &str| format!("{}.{}", b64(text), token.split_once('.').unwrap().1);
    let claims = attack("", "").claims.to_string();
    let head = attack("", "").header.to_string();
    // Text and signature are each fine; the last character of the signature carries bits that belong to no byte.
    let loose = |token: &str| {
        let last = token.chars().last().unwrap();
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let next = alphabet.chars().nth(alphabet.find(last).unwrap() + 1).unwrap();
        format!("{}{next}", &token[..token.len() - 1])
    };
    vec![
        attack("no token at all", "missing_token").token(""),
        attack("a space for a token", BAD).token(" "),
        attack("a word for a token", BAD).token("astro_abcdef"),
        attack("the word null", BAD).token("null"),
        attack("only dots", BAD).token(".."),
        attack("two parts", BAD).changed(|t| t.rsplit_once('.').unwrap().0.to_owned()),
        attack("two parts and a dot", BAD).changed(|t| format!("{}.", t.rsplit_once('.').unwrap().0)),
        attack("four parts", BAD).changed(|t| format!("{t}.{}", b64("x"))),
        attack("a dot at the end", BAD).changed(|t| format!("{t}.")),
        attack("a dot at the beginning", BAD).changed(|t| format!(".{t}")),
        attack("five parts, as encrypted tokens have", BAD).token(format!("{}.e.e.e.e", b64(r#"{"alg":"RSA-OAEP","enc":"A256GCM"}"#))),
        attack("the JSON form of signed tokens", BAD).changed(|t| {
            let p: Vec<&str> = t.split('.').collect();
            json!({"protected": p[0], "payload": p[1], "signature": p[2]}).to_string()
        }),
        attack("an empty header", BAD).changed(swap(0, "")),
        attack("an empty body", BAD).changed(swap(1, "")),
        attack("padding behind the header", BAD).changed(|t| t.replacen('.', "=.", 1)),
        attack("padding behind the signature", BAD).changed(|t| format!("{t}==")),
        attack("the alphabet of mail in the signature", BAD).changed(|t| {
            let (rest, signature) = t.rsplit_once('.').unwrap();
            format!("{rest}.+/{}", &signature[2..])
        }),
        attack("bits of no byte in the signature", BAD).changed(loose),
        attack("a line break at the end", BAD).changed(|t| format!("{t}\n")),
        attack("a space before it", BAD).changed(|t| format!(" {t}")),
        attack("a line break between the parts", BAD).changed(|t| t.replacen('.', ".\r\n", 1)),
        attack("the scheme left on", BAD).changed(|t| format!("Bearer {t}")),
        attack("a zero byte at the end", BAD).changed(|t| format!("{t}\0")),
        attack("percent signs", BAD).changed(|t| t.replace('.', "%2E")),
        attack("two tokens with a comma", BAD).changed(|t| format!("{t},{t}")),
        attack("letters that only look like dots", BAD).changed(|t| t.replace('.', "\u{2024}")),
        attack("more than 16 KiB", BAD).claim("padding", "x".repeat(16 * 1024)),
        attack("a megabyte of dots", BAD).token(".".repeat(1 << 20)),
        attack("a header that is no JSON", BAD).changed(header("alg=EdDSA")),
        attack("a header that is a list", BAD).changed(header(r#"["EdDSA"]"#)),
        attack("a header that is a text", BAD).changed(header(r#""EdDSA""#)),
        attack("a header that is null", BAD).changed(header("null")),
        attack("something behind the header's JSON", BAD).texts(format!("{head} x"), &claims),
        attack("a byte order mark before the header", BAD).texts(format!("\u{feff}{head}"), &claims),
        attack("a header that is not UTF-8", BAD).texts(b"{\"alg\":\"EdDSA\",\"kid\":\"\xff\"}", &claims),
        attack("`alg` twice, the last one good", BAD).texts(r#"{"alg":"none","kid":"EdDSA","alg":"EdDSA"}"#, &claims),
        attack("`alg` twice, the first one good", BAD).texts(r#"{"alg":"EdDSA","kid":"EdDSA","alg":"none"}"#, &claims),
        attack("`kid` twice, once escaped", BAD).texts(r#"{"alg":"EdDSA","kid":"EdDSA","\u006bid":"ES256"}"#, &claims),
        attack("claims that are a list", BAD).texts(&head, format!("[{claims}]")),
        attack("claims that are a text", BAD).texts(&head, json!(claims).to_string()),
        attack("claims that are a number", BAD).texts(&head, "1"),
        attack("claims that are no JSON", BAD).texts(&head, claims.replace('"', "'")),
        attack("claims that are not UTF-8", BAD).texts(&head, [claims.as_bytes(), b"\xc3\x28"].concat()),
        attack("claims with a comment", BAD).texts(&head, claims.replacen('{', "{/* x */", 1)),
        attack("something behind the claims", BAD).texts(&head, format!("{claims}{claims}")),
        attack("claims with a comma at the end", BAD).texts(&head, claims.replace('}', ",}")),
        attack("`sub` twice", BAD).texts(&head, claims.replacen('{', r#"{"sub":"admin","#, 1)),
        attack("`exp` twice", BAD).texts(&head, claims.replacen('{', r#"{"exp":1,"#, 1)),
        attack("a member twice, deep inside", BAD)
            .texts(&head, claims.replacen('{', r#"{"realm_access":{"roles":["a"],"roles":["admin"]},"#, 1)),
        attack("claims nested a hundred times", BAD)
            .texts(&head, claims.replacen('{', &format!("{{\"a\":{}{},", "[".repeat(100), "]".repeat(100)), 1)),
        attack("claims nested five thousand times", BAD).texts(&head, format!("{}{}", "[".repeat(5000), "]".repeat(5000))),
        attack("half a character in a claim", BAD).texts(&head, claims.replace("user-1", r"user-\udc00")),
        good("white space inside the JSON").texts(format!(" {head}\n"), format!("\t{claims} ")),
    ]
}
