//! The keyword planner.

use std::sync::LazyLock;

use regex::{Match, Regex};
use serde_json::json;

use crate::{
    agents::AgentName,
    tools::{ToolCall, ToolName},
};

fn pattern(text: &str) -> Regex {
    #[expect(clippy::expect_used, reason = "the patterns are constants, and a test compiles each of them")]
    Regex::new(&format!("(?ix){text}")).expect("a constant pattern")
}

/// What may stand before an order: the start of a clause, a courtesy, a wish, or another order. Each language has its own, because the Polish
/// "to" (then) is the English "to" of "the steps to open a ticket".
const BEFORE_EN: &str = r"(?:^|[.!?;:,\n–—-]\s*|\b(?:please|kindly|then|and|also|just|now|so)\s+|\b(?:can|could|would|will)\s+you\s+(?:please\s+|kindly\s+)?
    |\bI(?:\s+would|'d)?\s+(?:want|need|like|wish)(?:\s+you)?\s+to\s+|\blet(?:'s|\s+us)\s+|\bgo\s+ahead\s+and\s+|\bhelp\s+me\s+(?:to\s+)?)";
const BEFORE_PL: &str = r"(?:^|[.!?;:,\n–—-]\s*
    |\b(?:proszę|prosze|prośba\s+o|to|i|oraz|potem|następnie|teraz|więc)\s+(?:o\s+)?|\b(?:czy\s+)?(?:możesz|mógłbyś|mogłabyś|możecie|mógłby\s+pan|mogłaby\s+pani|zechcesz)\s+(?:proszę\s+)?
    |\b(?:chcę|chciałbym|chciałabym|potrzebuję|trzeba|należy|musimy|muszę)\s+)";
const BEFORE_RU: &str = r"(?:^|[.!?;:,\n–—-]\s*
    |\b(?:пожалуйста|прошу(?:\s+вас)?|и|а\s+также|затем|потом|теперь|тогда)\s+,?\s*|\b(?:можешь|можете|мог(?:ли|ла)?\s+бы(?:\s+вы|\s+ты)?)\s+(?:ли\s+)?(?:вы\s+|ты\s+)?(?:пожалуйста\s+)?
    |\b(?:хочу|хотел(?:а)?\s+бы|нужно|надо|необходимо|требуется)\s+)";

const TICKET: &str = r"(?:tickets?|trouble\s+tickets?|support\s+(?:request|case)s?|incident\s+(?:report|ticket)s?|(?:bug|incident)\s+reports?
    |zgłoszeni(?:e|a)|zgloszeni(?:e|a)|ticket(?:a|u|y)?|bilet|tiket|spraw(?:ę|e)\s+serwisow(?:ą|a)
    |тикет(?:а|ы)?|заявк(?:у|а|и)|обращени(?:е|я)|запрос\s+в\s+поддержку)";

const OPEN_EN: &str = r"(?:create|open|file|raise|submit|log|register|make|start)";
const OPEN_PL: &str = r"(?:utwórz(?:cie)?|utworz(?:yć|yc|enie)?|stwórz(?:cie)?|stworz(?:yć|yc)?|załóż(?:cie)?|zaloz(?:yc)?|założyć|otwórz(?:cie)?|otworz(?:yć|yc)?|wystaw(?:cie|ić|ic)?|zarejestruj(?:cie)?|zarejestrować|dodaj(?:cie)?|dodać|zrób|zrobić|złóż|złożyć|wyślij|wysłać)";
const OPEN_RU: &str = r"(?:созда(?:й|йте|ть)|открой(?:те)?|открыть|завед(?:и|ите)|завести|оформи(?:те|ть)?|зарегистрируй(?:те)?|зарегистрировать|сделай(?:те)?|подай(?:те)?|подать|отправь(?:те)?|отправить|заполни(?:те)?)";

/// A few words between the verb and its noun: "open me a new high priority ticket".
const GAP: &str = r"(?:,?\s+[\p{L}\p{N}'-]+){0,4}?,?\s+";

static OPEN_TICKET: LazyLock<Regex> =
    LazyLock::new(|| pattern(&format!(r"(?:{BEFORE_EN}{OPEN_EN}|{BEFORE_PL}{OPEN_PL}|{BEFORE_RU}{OPEN_RU}){GAP}{TICKET}\b")));
/// "I need a ticket for …", "potrzebuję zgłoszenia", "нужна заявка", "ticket please".
static NEED_TICKET: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&format!(
        r"\b(?:I\s+need|we\s+need|I\s+want|I'd\s+like|potrzebuję|poproszę(?:\s+o)?|proszę\s+o|нужна|нужен|нужно|хочу)\s+(?:(?:a|an|one|new|nowe|nowy|новая|новый|новую)\s+)*{TICKET}\b"
    ))
});
/// "zgłoś incydent", "zgłoś awarię": the verb alone names the report in Polish; so does "сообщи о сбое в поддержку".
static REPORT: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&format!(r"{BEFORE_PL}(?:zgłoś(?:cie)?|zgłosić)\s+(?:\p{{L}}+\s+){{0,2}}?(?:incydent|awari(?:ę|e)|problem|usterk(?:ę|e)|błąd)"))
});
static RESTART: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&format!(
        r"(?:{BEFORE_EN}(?:restart|reboot|bounce)|{BEFORE_PL}(?:zrestartuj(?:cie)?|zrestartować|uruchom\s+ponownie|uruchomić\s+ponownie)
            |{BEFORE_RU}(?:перезапусти(?:те|ть)?|рестартни(?:те)?|перезагрузи(?:те|ть)?))\s+
          (?:the\s+|our\s+|usług(?:ę|e)\s+|serwis\s+|serwer\s+|сервис\s+|службу\s+|сервер\s+|service\s+|server\s+|pod\s+|deployment\s+)*
          [`'\x22«„]?(?P<service>[\p{{L}}\p{{N}}][\p{{L}}\p{{N}}._/-]*)"
    ))
});
static METRICS: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&format!(
        r"(?:{BEFORE_EN}(?:show|get|give|fetch|read|display|check|pull|list|report)(?:\s+(?:me|us))?(?:\s+(?:the|current|latest|live|our|me))*
           |{BEFORE_PL}(?:pokaż|podaj|sprawdź|pobierz|wyświetl|daj)(?:\s+(?:mi|nam|aktualne|bieżące|obecne))*
           |{BEFORE_RU}(?:покажи(?:те)?|дай(?:те)?|выведи(?:те)?|проверь(?:те)?|получи(?:те)?)(?:\s+(?:мне|нам|текущие|текущую|текущий|последние))*
           |\bwhat\s+(?:is|are)\s+(?:the\s+)?current|\bjakie\s+(?:są|jest)\s+(?:aktualne|bieżące|obecne)|\bкак(?:ая|ие|ой)\s+(?:сейчас|текущ\p{{L}}+))
          (?:\s+[\p{{L}}\p{{N}}'-]+){{0,3}}?\s+
          (?:metrics?|latency|p9[59]|error\s+rate|errors|requests?\s+per\s+second|rps|throughput|cpu(?:\s+usage)?|memory(?:\s+usage)?|load
            |metryk\p{{L}}*|opóźnieni\p{{L}}+|błęd\p{{L}}+|obciążeni\p{{L}}+|użyci\p{{L}}+\s+(?:cpu|pamięci)|pamięć|zużycie\s+(?:cpu|pamięci)
            |метрик\p{{L}}*|задержк\p{{L}}+|ошиб\p{{L}}+|нагрузк\p{{L}}+|память|загрузк\p{{L}}+)"
    ))
});
static METRIC_SERVICE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"\b(?:of|for|from|dla|usługi|serwisu|сервиса|службы|для)\s+(?:the\s+|service\s+|usługi\s+|serwisu\s+|сервиса\s+|службы\s+)*[`'\x22«„]?(?P<service>[A-Za-z0-9][A-Za-z0-9._/-]*)",
    )
});
static WEATHER: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"\b(?:weather|forecast|temperature\s+outside|pogod(?:a|ę|e|y)|prognoz(?:a|ę)\s+pogody|погод(?:а|у|ы|е)|прогноз\s+погоды)\b
          (?:\s+(?:like|today|tomorrow|now|right|dziś|dzisiaj|jutro|teraz|сегодня|завтра|сейчас|будет|jest|będzie|is|be))*
          \s+(?:in|at|for|w|we|dla|на|в|во|для)\s+(?P<city>(?-i:\p{Lu}[\p{L}'’.-]*(?:[\s-]+\p{Lu}[\p{L}'’.-]*){0,3}))",
    )
});
/// A question about doing it, a condition, or the report of an order is not an order.
static NOT_AN_ORDER: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"\b(?:says|said|told|explain|describe|wonder(?:ing)?|want\s+to\s+know|is\s+(?:it|there|that)|are\s+there
             |if\s+(?:I|we|the|a|an|my|it|there|some(?:body|one)|any(?:body|one))|(?:steps|way|need|able|possible|afraid|told|supposed)\s+to
             |il(?:u|oma)|komu|kogo|czego|czym|powiedziano|kazan[oy]|w\s+jaki|po\s+co|opisz|wyjaśnij|wiedzieć
             |скольких|кому|кого|чего|каким|сказали|опиши(?:те)?|объясни(?:те)?|узнать|ли
             |how\s+(?:do|does|can|could|should|would|to|is|are|long|many|much|often)|where\s+(?:do|can|should|is|are)|when\s+(?:do|should|must|can|is|are)|who\s+(?:can|may|should|must|opens?|creates?|has|is)|why
             |what\s+(?:happens|should|do|if|must|is\s+the\s+(?:procedure|process|way|policy))|which|can\s+I|may\s+I|should\s+(?:I|we)|do\s+(?:I|we)\s+(?:need|have)|must\s+(?:I|we)
             |before\s+you|after\s+you|if\s+you|when\s+you|whether
             |jak(?:a|i|ie|im|ą)?|gdzie|kiedy|kto|dlaczego|czemu|który|która|które|ile|czy\s+(?:mogę|powinienem|powinnam|trzeba|muszę|można|należy)|co\s+(?:zrobić|robić|się|jeśli|gdy)
             |jeśli|jeżeli|gdy|zanim
             |как(?:ой|ая|ие|им)?|где|когда|кто|почему|зачем|сколько|что\s+(?:делать|будет|если)|можно\s+ли|нужно\s+ли|надо\s+ли|должен\s+ли|могу\s+ли
             |если)\b",
    )
});
/// A denial stands in the same part of a sentence as what it denies: "the printer does not print, open a ticket" is an order.
static DENIAL: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"\b(?:don'?t|do\s+not|not|never|without|no\s+need|cannot|can't|instead\s+of|stop|nie|bez|zamiast|не|без|вместо)\b")
});

/// What makes a question a request.
static COURTESY: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"\b(?:(?:can|could|would|will)\s+you|please|kindly|możesz|możecie|mógłbyś|mogłabyś|mógłby\s+pan|mogłaby\s+pani|zechcesz|proszę
             |можешь|можете|мог(?:ли|ла)?\s+бы|пожалуйста)\b",
    )
});

/// The plan of the keyword planner: at most one call, of a tool that the agent has; empty when the documents should be asked.
pub fn plan(agent: AgentName, input: &str) -> Vec<ToolCall> {
    let has = |tool: ToolName| agent.tools().contains(&tool);
    let call = |tool: ToolName, arguments: serde_json::Value| vec![ToolCall { name: tool.as_str().to_owned(), arguments }];
    if has(ToolName::RestartService)
        && let Some(service) = restart(input)
    {
        return call(ToolName::RestartService, json!({"service": service, "reason": shorten(input, 300)}));
    }
    if has(ToolName::CreateTicket) && asks_for_ticket(input) {
        return call(ToolName::CreateTicket, json!({"title": title(input), "description": shorten(input, 8000)}));
    }
    if has(ToolName::GetMetrics) && METRICS.find(input).is_some_and(|found| !denies(&clause(input, &found))) {
        let mut arguments = json!({});
        if let Some(metric) = metric(input) {
            arguments["metric"] = metric.into();
        }
        if let Some(service) = METRIC_SERVICE.captures(input).and_then(|c| c.name("service")).map(|m| m.as_str().trim_end_matches('.')) {
            arguments["service"] = service.into();
        }
        return call(ToolName::GetMetrics, arguments);
    }
    if has(ToolName::GetWeather)
        && let Some(city) = WEATHER.captures(input).and_then(|c| c.name("city"))
    {
        return call(ToolName::GetWeather, json!({"city": city.as_str().trim_end_matches(['.', '-'])}));
    }
    Vec::new()
}

/// Whether the plan of a model may hold a call of this tool: nobody gets a side effect that was not asked for.
pub(super) fn asked_for(tool: ToolName, input: &str) -> bool {
    match tool {
        ToolName::CreateTicket => asks_for_ticket(input),
        ToolName::RestartService => restart(input).is_some(),
        ToolName::GetMetrics | ToolName::GetWeather => true,
    }
}

fn asks_for_ticket(input: &str) -> bool {
    [&*OPEN_TICKET, &*NEED_TICKET, &*REPORT].into_iter().any(|order| orders(input, order))
}

/// The service that an order for a restart names.
pub(super) fn restart(input: &str) -> Option<String> {
    if !orders(input, &RESTART) {
        return None;
    }
    let mut service = RESTART.captures(input)?.name("service")?.as_str().trim_end_matches(['.', '-', '/']).to_owned();
    // "restart the payments service": the name may stand before its kind; a bare "it" names nothing.
    if ["it", "them", "this", "that", "service", "server", "everything", "all", "usługę", "serwis", "сервис", "его", "ją", "go"]
        .contains(&service.to_lowercase().as_str())
    {
        return None;
    }
    service.truncate(100);
    Some(service)
}

/// Whether a text gives an order: not in a clause that asks about it or denies it, and not in a question that is no request.
fn orders(input: &str, order: &Regex) -> bool {
    let Some(found) = order.find(input) else { return false };
    let end = input[found.end()..].find(['.', '!', '?', ';', '\n']).map(|i| i + found.end());
    let asks = end.is_some_and(|i| input[i..].starts_with('?'));
    let clause = clause(input, &found);
    !denies(&clause) && (!asks || COURTESY.is_match(&clause))
}

/// The sentence that holds an order, up to the order's end: where a question word would stand.
fn clause(input: &str, found: &Match<'_>) -> String {
    // An order may begin with the end of the sentence before it.
    let verb = found.start() + found.as_str().find(char::is_alphanumeric).unwrap_or(0);
    let start = input[..verb].rfind(['.', '!', '?', ';', '\n']).map_or(0, |i| i + 1);
    input[start..found.end()].to_owned()
}

/// Whether a clause asks about an order or denies it, rather than giving it.
fn denies(clause: &str) -> bool {
    // "Не могли бы вы" and "czy nie mógłbyś" deny nothing: they are how a request is made politely.
    static POLITE_NOT: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"\b(?:не\s+мог(?:ли|ла)?\s+бы|(?:czy\s+)?nie\s+(?:mógłbyś|mogłabyś|mógłby|mogłaby))\b"));
    let clause = POLITE_NOT.replace_all(clause, "");
    let part = clause.trim_start_matches(|c: char| !c.is_alphanumeric()).rsplit([',', ':', '–', '—']).next().unwrap_or("");
    NOT_AN_ORDER.is_match(&clause) || DENIAL.is_match(part)
}

fn metric(input: &str) -> Option<&'static str> {
    let lower = input.to_lowercase();
    let any = |words: &[&str]| words.iter().any(|w| lower.contains(w));
    if any(&["latency", "p95", "p99", "opóźnien", "задержк"]) {
        Some("latency")
    } else if any(&["error", "błęd", "ошиб"]) {
        Some("errors")
    } else if any(&["memory", "pamię", "памят"]) {
        Some("memory")
    } else if any(&["cpu", "load", "obciąż", "нагрузк", "загрузк"]) {
        Some("cpu")
    } else if any(&["requests per", "rps", "throughput"]) {
        Some("requests")
    } else {
        None
    }
}

/// A ticket's title: what stands behind the order when it says what the ticket is about, else the first sentence.
fn title(input: &str) -> String {
    static ABOUT: LazyLock<Regex> = LazyLock::new(|| {
        pattern(&format!(
            r"{TICKET}\s*(?:[:–—-]|\b(?:about|for|regarding|because|that|saying|on|titled|dla|dotyczące|dotyczący|w\s+sprawie|o|na|bo|że|ponieważ|о|об|по|на|про|для|потому\s+что|что)\b)\s*(?P<about>[^\n]{{3,}})"
        ))
    });
    let about = ABOUT.captures(input).and_then(|c| c.name("about")).map(|m| m.as_str());
    let text = about.unwrap_or(input).trim();
    let sentence = text.split_inclusive(['.', '!', '?', '\n']).find(|s| s.trim().chars().count() > 2).unwrap_or(text);
    shorten(sentence.trim().trim_end_matches(['.', '!', '?']), 200)
}

fn shorten(text: &str, limit: usize) -> String {
    let text = text.trim();
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    let cut: String = text.chars().take(limit - 1).collect();
    format!("{}…", cut.trim_end())
}
