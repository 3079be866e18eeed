//! `/docs`: the OpenAPI description as a page without scripts, made on the server, so that it works offline and within the content
//! security policy.

mod schema;

use std::fmt::Write;

use serde_json::Value;

/// The style sheet of the plain pages: this one, the sign-in refusal, and the page of a binary without the app.
pub const STYLE: &str = include_str!("style.css");

const METHODS: &[&str] = &["get", "post", "put", "patch", "delete"];

/// Text for HTML: nothing in it is read as markup.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Text with `code` in backticks, as descriptions are written.
pub(crate) fn prose(text: &str) -> String {
    let mut out = String::new();
    for (i, part) in text.split('`').enumerate() {
        if i % 2 == 1 {
            let _ = write!(out, "<code>{}</code>", escape(part));
        } else {
            out.push_str(&escape(part));
        }
    }
    out
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or("")
}

fn anchor(method: &str, path: &str) -> String {
    format!("{method}{}", path.replace(|c: char| !c.is_ascii_alphanumeric(), "-"))
}

/// The page for a description in JSON.
pub fn page(api: &Value) -> String {
    let mut nav = String::new();
    let mut main = String::new();
    for tag in api["tags"].as_array().into_iter().flatten() {
        let name = text(tag, "name");
        let _ = write!(nav, "<h2>{}</h2><ul>", escape(name));
        let _ = write!(main, "<section><h2 id=\"tag-{0}\">{0}</h2><p>{1}</p>", escape(name), prose(text(tag, "description")));
        for (path, item) in api["paths"].as_object().into_iter().flatten() {
            for method in METHODS {
                let operation = &item[*method];
                if operation["tags"][0].as_str() == Some(name) {
                    let id = anchor(method, path);
                    let _ = write!(
                        nav,
                        "<li><a href=\"#{id}\"><span class=\"m {method}\">{method}</span> {}</a></li>",
                        escape(path.trim_start_matches("/api/v1"))
                    );
                    main.push_str(&operation_html(api, method, path, operation));
                }
            }
        }
        nav.push_str("</ul>");
        main.push_str("</section>");
    }
    let info = &api["info"];
    format!(
        "<!doctype html>
<html lang=\"en\">
<head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>{title} API</title>
<link rel=\"stylesheet\" href=\"/docs/style.css\"></head>
<body>
<a class=\"skip\" href=\"#main\">Skip to the operations</a>
<header><h1>{title} API <small>{version}</small></h1><p>{about}</p>
<p><a href=\"/api/openapi.json\">OpenAPI 3.1 description</a> for client generators and tools. <a href=\"/\">Back to the page</a>.</p></header>
<div class=\"columns\"><nav aria-label=\"Operations\">{nav}<h2>objects</h2><ul>{objects_nav}</ul></nav>
<main id=\"main\">{main}<section><h2 id=\"objects\">objects</h2>{objects}</section></main></div>
</body>
</html>
",
        title = escape(text(info, "title")),
        version = escape(text(info, "version")),
        about = prose(text(info, "description")),
        objects_nav = schema::index(api),
        objects = schema::objects(api),
    )
}

fn operation_html(api: &Value, method: &str, path: &str, operation: &Value) -> String {
    let mut out = String::new();
    let open = operation["security"].as_array().is_some_and(|s| s.iter().any(|r| r.as_object().is_some_and(serde_json::Map::is_empty)));
    let _ = write!(
        out,
        "<details id=\"{}\"><summary><span class=\"m {method}\">{method}</span> <code>{}</code> <span class=\"s\">{}</span></summary>",
        anchor(method, path),
        escape(path),
        prose(text(operation, "summary"))
    );
    let _ = write!(out, "<p>{}</p>", prose(text(operation, "description")));
    if open {
        out.push_str("<p class=\"open\">Open: needs no sign-in.</p>");
    }
    let parameters: Vec<&Value> = operation["parameters"].as_array().into_iter().flatten().collect();
    if !parameters.is_empty() {
        out.push_str("<h3>Parameters</h3><table><thead><tr><th>name</th><th>in</th><th>kind</th><th>meaning</th></tr></thead><tbody>");
        for p in parameters {
            let required = if p["required"].as_bool() == Some(true) { " <b>required</b>" } else { "" };
            let _ = write!(
                out,
                "<tr><td><code>{}</code>{required}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                escape(text(p, "name")),
                escape(text(p, "in")),
                schema::kind(&p["schema"]),
                prose(text(p, "description"))
            );
        }
        out.push_str("</tbody></table>");
    }
    for (content_type, media) in operation["requestBody"]["content"].as_object().into_iter().flatten() {
        let _ = write!(out, "<h3>Body</h3><p><code>{}</code>: {}</p>", escape(content_type), schema::kind(&media["schema"]));
        out.push_str(&schema::fields(api, &media["schema"]));
    }
    if !open {
        let _ = write!(out, "<h3>Example</h3><pre><code>{}</code></pre>", escape(&curl(api, method, path, operation)));
    }
    out.push_str("<h3>Answers</h3><table><thead><tr><th>status</th><th>meaning</th><th>content</th></tr></thead><tbody>");
    for (status, answer) in operation["responses"].as_object().into_iter().flatten() {
        let content: Vec<String> = answer["content"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(content_type, media)| format!("<code>{}</code> {}", escape(content_type), schema::kind(&media["schema"])))
            .collect();
        let _ = write!(
            out,
            "<tr><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(status),
            prose(text(answer, "description")),
            content.join("<br>")
        );
    }
    out.push_str("</tbody></table></details>");
    out
}

/// A line to paste into a shell that has the token in `$TOKEN`.
fn curl(api: &Value, method: &str, path: &str, operation: &Value) -> String {
    let server = api["servers"][0]["url"].as_str().filter(|u| u.starts_with("http")).unwrap_or("http://127.0.0.1:8080");
    let mut line = format!("curl -X {} {server}{path} -H \"Authorization: Bearer $TOKEN\"", method.to_uppercase());
    let content = &operation["requestBody"]["content"];
    if content.get("multipart/form-data").is_some() {
        line.push_str(" -F file=@FILE");
    } else if let Some(media) = content.get("application/json") {
        let example = schema::example(api, &media["schema"], 0);
        let _ = write!(line, " \\\n  -H 'Content-Type: application/json' -d '{example}'");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_description_is_read_as_markup() {
        assert_eq!(prose("a <b> `x < y` & \"c\""), "a &lt;b&gt; <code>x &lt; y</code> &amp; &quot;c&quot;");
    }
}
