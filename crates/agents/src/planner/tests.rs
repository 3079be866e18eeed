use super::plan;
use crate::agents::AgentName;

fn tool(agent: AgentName, input: &str) -> String {
    plan(agent, input).first().map_or_else(|| "-".to_owned(), |c| c.name.clone())
}

#[test]
fn an_order_for_a_ticket_opens_one_in_three_languages() {
    for input in [
        "Utwórz ticket dla incydentu sieci",
        "Create a ticket for the broken printer",
        "Please open a high priority ticket: VPN is down",
        "Could you please raise a ticket about my laptop?",
        "The VPN does not work. Open a ticket.",
        "I need a ticket for a new monitor",
        "I want you to file a support request about the badge",
        "Proszę utworzyć zgłoszenie w sprawie VPN",
        "Czy możesz założyć zgłoszenie o awarii drukarki?",
        "Zgłoś awarię drukarki na 3 piętrze",
        "załóż nowe zgłoszenie: brak dostępu do poczty",
        "Создай тикет про сломанный принтер",
        "Создайте, пожалуйста, заявку на новый ноутбук",
        "Можешь завести заявку: не работает VPN?",
        "Прошу создать обращение по поводу пропуска",
        "Нужно оформить заявку на доступ",
    ] {
        assert_eq!(tool(AgentName::Support, input), "create_ticket", "{input}");
    }
}

#[test]
fn a_question_a_story_or_a_denial_never_opens_a_ticket() {
    for input in [
        "How do I open a ticket?",
        "How can I create a ticket for the network team?",
        "Where do I file a ticket?",
        "Who can create a ticket?",
        "Can I open a ticket by phone?",
        "Don't create a ticket, just tell me the VPN address",
        "Please do not open a ticket yet",
        "I opened a ticket yesterday and nobody answered",
        "What happens after you create a ticket?",
        "What is the response time for a high priority ticket?",
        "My ticket is still open",
        "Jak utworzyć ticket?",
        "Jak mogę założyć zgłoszenie?",
        "Gdzie zgłosić awarię drukarki?",
        "Nie twórz zgłoszenia, tylko odpowiedz",
        "Kto może utworzyć zgłoszenie?",
        "Ile czasu trwa obsługa zgłoszenia?",
        "Jaki jest numer do zgłaszania awarii?",
        "Как создать заявку?",
        "Где можно оформить заявку на пропуск?",
        "Не создавай тикет, просто ответь",
        "Кто может создать заявку?",
        "Я создал заявку вчера",
        "VPN is broken",
        "Jaka jest procedura dla incydentu sieci?",
    ] {
        assert_eq!(tool(AgentName::Support, input), "-", "{input}");
    }
}

#[test]
fn a_restart_is_planned_for_an_order_that_names_a_service_and_only_by_the_agent_that_has_the_tool() {
    for (input, service) in [
        ("Restart the payments service", "payments"),
        ("please restart service billing-api now", "billing-api"),
        ("Zrestartuj usługę webapp", "webapp"),
        ("Перезапусти сервис auth", "auth"),
    ] {
        let calls = plan(AgentName::Ops, input);
        assert_eq!(calls[0].name, "restart_service", "{input}");
        assert_eq!(calls[0].arguments["service"], service, "{input}");
        assert_eq!(tool(AgentName::Support, input), "-", "{input}");
    }
    for input in ["How do I restart the payments service?", "Do not restart payments", "Restart it", "Jak zrestartować usługę webapp?", "Как перезапустить сервис auth?"] {
        assert_eq!(tool(AgentName::Ops, input), "-", "{input}");
    }
}

#[test]
fn metrics_are_read_when_somebody_wants_to_see_them() {
    let calls = plan(AgentName::Ops, "Show me the p95 latency of checkout");
    assert_eq!((calls[0].name.as_str(), &calls[0].arguments), ("get_metrics", &serde_json::json!({"metric": "latency", "service": "checkout"})));
    for input in ["Pokaż metryki usługi billing", "Покажи текущие метрики", "get metrics", "What is the current error rate?"] {
        assert_eq!(tool(AgentName::Ops, input), "get_metrics", "{input}");
    }
    for input in ["What latency does the SLA promise?", "Jakie opóźnienie gwarantuje SLA?", "Which metrics are in the dashboard?"] {
        assert_eq!(tool(AgentName::Ops, input), "-", "{input}");
    }
}

#[test]
fn the_weather_is_asked_for_a_place() {
    let calls = plan(AgentName::Support, "What is the weather in New York today?");
    assert_eq!((calls[0].name.as_str(), calls[0].arguments["city"].as_str()), ("get_weather", Some("New York")));
    assert_eq!(plan(AgentName::Support, "Jaka jest pogoda w Gdańsku?")[0].arguments["city"], "Gdańsku");
    assert_eq!(plan(AgentName::Support, "Какая погода в Москве?")[0].arguments["city"], "Москве");
    assert_eq!(tool(AgentName::Support, "What is the bad weather policy?"), "-");
}

#[test]
fn the_title_says_what_the_ticket_is_about() {
    let title = |input: &str| plan(AgentName::Support, input)[0].arguments["title"].as_str().unwrap().to_owned();
    assert_eq!(title("Utwórz ticket dla incydentu sieci"), "incydentu sieci");
    assert_eq!(title("Please open a ticket: VPN is down. It started today."), "VPN is down");
    assert_eq!(title("Open a ticket"), "Open a ticket");
}
