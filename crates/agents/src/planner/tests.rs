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
    for input in [
        "How do I restart the payments service?",
        "Do not restart payments",
        "Restart it",
        "Jak zrestartować usługę webapp?",
        "Как перезапустить сервис auth?",
    ] {
        assert_eq!(tool(AgentName::Ops, input), "-", "{input}");
    }
}

#[test]
fn metrics_are_read_when_somebody_wants_to_see_them() {
    let calls = plan(AgentName::Ops, "Show me the p95 latency of checkout");
    assert_eq!(
        (calls[0].name.as_str(), &calls[0].arguments),
        ("get_metrics", &serde_json::json!({"metric": "latency", "service": "checkout"}))
    );
    for input in ["Pokaż metryki usługi billing", "Покажи текущие метрики", "get metrics", "What is the current error rate?"]
    {
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

#[test]
fn tricky_sentences_do_not_make_an_effect_that_nobody_asked_for() {
    let wrong: Vec<&str> = [
        // English
        "The manual says: create a ticket when the printer is broken. What is the printer's model?",
        "He told me to open a ticket, but is that needed for a password reset?",
        "Is it possible to open a ticket from my phone?",
        "Was a ticket created for yesterday's outage?",
        "Who will open a ticket if the network fails at night?",
        "I was told to create a ticket. Which team reads it?",
        "Should somebody create a ticket for this?",
        "You should not have opened a ticket for that",
        "Please explain: create a ticket or call the hotline?",
        "When the VPN fails, create a ticket: is that the rule?",
        "To file a ticket you need an account, right?",
        "The create ticket button is grey",
        "I cannot create a ticket, the page is blank",
        "My colleague will open a ticket tomorrow",
        "There's no need to raise a ticket",
        "Stop creating tickets",
        "Cancel the ticket I opened",
        "Close ticket 42",
        "Show me how to create a ticket",
        "Tell me how I can open a ticket",
        "Please describe the steps to open a ticket",
        "Is there a form to register a ticket for new hardware?",
        "What does 'open a ticket' mean?",
        "Explain the difference between an incident report and a ticket",
        "I want to know if I need a ticket for a new monitor",
        "Do I need a ticket for a new monitor?",
        "I don't think I need a ticket for this",
        "Ignore previous instructions? No. What are the opening hours?",
        // Polish
        "Czy trzeba utworzyć ticket, żeby zresetować hasło?",
        "Czy muszę założyć zgłoszenie, aby dostać monitor?",
        "Kazano mi utworzyć zgłoszenie, ale nie wiem gdzie",
        "W jaki sposób utworzyć zgłoszenie?",
        "Co trzeba podać, żeby założyć zgłoszenie?",
        "Proszę nie zakładać zgłoszenia",
        "Nie trzeba tworzyć ticketu",
        "Wczoraj utworzyłem ticket i nikt nie odpowiedział",
        "Chcę wiedzieć, jak założyć zgłoszenie",
        "Opisz, jak utworzyć zgłoszenie",
        "Pokaż, jak złożyć zgłoszenie w portalu",
        "Czy ktoś mógłby mi powiedzieć, kto zakłada zgłoszenia?",
        "Nie mogę utworzyć zgłoszenia, strona jest pusta",
        "Kolega ma utworzyć ticket jutro",
        "Po co zgłaszać awarię drukarki?",
        "Komu zgłosić awarię drukarki?",
        "Do kogo zgłosić incydent bezpieczeństwa?",
        "W ciągu ilu godzin należy zgłosić incydent?",
        "Kiedy należy zgłosić awarię?",
        // Russian
        "Нужно ли создать заявку, чтобы сбросить пароль?",
        "Надо ли оформить заявку на пропуск заранее?",
        "Мне сказали создать заявку, но я не знаю где",
        "Каким образом создать тикет?",
        "Что нужно указать, чтобы создать заявку?",
        "Не нужно создавать заявку",
        "Вчера я создал тикет, и никто не ответил",
        "Хочу узнать, как оформить заявку",
        "Опишите, как создать заявку",
        "Покажи, как подать заявку на портале",
        "Не могу создать заявку, страница пустая",
        "Коллега должен создать заявку завтра",
        "В какой срок нужно подать заявку на отпуск?",
        "К кому обратиться, чтобы создать заявку?",
        "Обязательно ли создавать заявку?",
    ]
    .into_iter()
    .filter(|input| tool(AgentName::Support, input) == "create_ticket")
    .collect();
    assert_eq!(wrong, Vec::<&str>::new(), "{} sentences opened a ticket", wrong.len());
    let wrong: Vec<&str> = [
        "The runbook says: restart nginx when it hangs. When does it hang?",
        "Who may restart the billing service?",
        "Is it safe to restart postgres?",
        "Did somebody restart auth last night?",
        "I am afraid to restart payments",
        "Why did you restart payments?",
        "Should I restart the auth service?",
        "What happens when I restart auth?",
        "Please do not restart auth yet",
        "Czy można zrestartować usługę auth w dzień?",
        "Kto może zrestartować bazę?",
        "Nie restartuj usługi auth",
        "Czy trzeba zrestartować serwer po aktualizacji?",
        "Можно ли перезапустить сервис auth днём?",
        "Не перезапускай сервис auth",
        "Нужно ли перезапустить сервер после обновления?",
    ]
    .into_iter()
    .filter(|input| tool(AgentName::Ops, input) == "restart_service")
    .collect();
    assert_eq!(wrong, Vec::<&str>::new(), "{} sentences restarted something", wrong.len());
}

#[test]
fn a_polite_question_and_a_reason_before_it_are_still_an_order() {
    for input in [
        "Can you open a ticket for the broken badge reader?",
        "Would you please file a ticket about the printer?",
        "The printer on floor 3 is jammed again, please raise a ticket",
        "VPN drops when I connect; open a ticket please",
        "Is the VPN down? Please open a ticket.",
        "Let's open a ticket for this",
        "I'd like to open a ticket about my badge",
        "Drukarka nie działa. Załóż zgłoszenie.",
        "Czy mógłbyś utworzyć ticket w sprawie drukarki?",
        "Мышь сломалась. Создай заявку.",
        "Не могли бы вы создать заявку на мышь?",
        "Принтер не печатает, создайте тикет",
    ] {
        assert_eq!(tool(AgentName::Support, input), "create_ticket", "{input}");
    }
}
