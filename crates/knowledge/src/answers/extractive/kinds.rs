//! What kind of thing a question asks for.
//!
//! A sentence that shares every word with "who runs the Elbląg region?" but names nobody does not answer it. The kinds are told by phrases in English, Polish and Russian; what a sentence holds is
//! read by `holdings`.

/// The kind of answer a question asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Nothing in particular.
    Any,
    /// A sum of money.
    Money,
    /// A point in time or a length of time until which something must happen.
    Deadline,
    /// A length of time.
    Duration,
    /// How soon something happens: a length of time, or "at once".
    Soon,
    /// How often something happens.
    Often,
    /// A point in time: date, weekday, hour, or an event after which something happens.
    Time,
    /// A year, or when something came about that is years old by its nature.
    Year,
    /// A number of things.
    Count,
    /// A size, limit or other amount: any number that is no date.
    Amount,
    /// A distance, length, area or height.
    Distance,
    /// A speed.
    Speed,
    /// A temperature.
    Temperature,
    /// A share.
    Percent,
    /// A person's name or role.
    Person,
    /// A person's name, where the question itself gives the role.
    PersonName,
    /// The name of a firm, product or other thing.
    Name,
    /// A place.
    Place,
    /// A room or floor.
    Room,
    /// An address to write to, or a number to ring.
    Contact,
    /// A number to ring.
    Phone,
    /// How old somebody has to be.
    Age,
    /// A colour.
    Colour,
    /// Why something is so.
    Reason,
}

impl Kind {
    /// Kinds that show in a sentence by their form, so that their absence is telling: who asks for a price is not answered without a sum.
    pub(super) fn is_plain_to_see(self) -> bool {
        !matches!(self, Self::Any | Self::Person | Self::Place | Self::Reason)
    }

    /// Kinds that always carry their sign: a currency, a unit, a name.
    pub(super) fn is_unmistakable(self) -> bool {
        matches!(
            self,
            Self::Money
                | Self::Count
                | Self::Name
                | Self::Percent
                | Self::Speed
                | Self::Temperature
                | Self::Distance
                | Self::PersonName
                | Self::Contact
                | Self::Phone
                | Self::Colour
                | Self::Year
        )
    }
}

/// Phrases that tell a kind, in the order in which they are tried.
const RULES: &[(Kind, &str)] = &[
    (
        Kind::Percent,
        "what percentage|what percent|what share|what proportion|jaki procent|ile procent|jaki odsetek|какой процент|\
         сколько процентов|какая доля|какую долю",
    ),
    (
        Kind::Contact,
        "e-mail address|email address|what email|jaki adres e-mail|adres mailowy|adres e-mail|адрес электронной почты|какая почта|какой адрес электронной",
    ),
    (
        Kind::Phone,
        "phone number|telephone number|mobile number|cell number|which number|what number do|what number can|what number should|what extension|\
         which extension|numer telefonu|pod jaki numer|pod jakim numerem|jaki numer|na jaki numer|номер телефона|\
         по какому номеру|на какой номер|какой номер|по какому телефону|какой телефон|куда звонить|куда позвонить|gdzie dzwonić|gdzie zadzwonić|dokąd dzwonić|\
         pod jakim telefonem|pod jaki telefon|jaki telefon|number to call|number to ring|\
         numer wewnętrzny|какой добавочный|добавочный номер|какой внутренний номер|pod którym numerem|pod który numer",
    ),
    (
        Kind::Speed,
        "how fast may|how fast can|how fast is|how fast does|how fast did|what speed|top speed|speed limit|z jaką prędkością|\
         jaka prędkość|jak szybko wolno|jak szybko można|с какой скоростью|какая скорость|какова скорость|скорость канала",
    ),
    (
        Kind::Colour,
        "what colour|what color|which colour|which color|jakiego koloru|w jakim kolorze|jaki kolor|jakie kolory|какого цвета|каким цветом|какой цвет|какие цвета",
    ),
    (
        Kind::Age,
        "how old|what age|minimum age|age limit|od ilu lat|do ilu lat|ile lat trzeba|ile lat muszę|ile lat musi|ile lat powin|w jakim wieku|od jakiego wieku|\
         minimalny wiek|ile trzeba mieć lat|со скольки лет|до скольки лет|с какого возраста|до какого возраста|в каком возрасте|сколько лет должно|\
         сколько лет надо|сколько лет нужно|какой возраст|минимальный возраст",
    ),
    (
        Kind::Temperature,
        "what temperature|which temperature|how hot|how cold|how many degrees|how warm|jakiej temperaturze|jaka temperatura|\
         jaką temperaturę|ilu stopniach|ile stopni|какой температуре|какая температура|какова температура|какую температуру|\
         скольких градусах|сколько градусов|каких градусах",
    ),
    (
        Kind::Distance,
        "how far|how tall|how deep|how wide|what distance|what length|what height|what depth|what width|what area|jak daleko|jak wysoki|jak wysoka|jak głęboko|\
         jak głęboki|w jakiej odległości|jaka odległość|jaka długość|jaka wysokość|как далеко|какое расстояние|\
         на каком расстоянии|какова длина|какая длина|какова высота|какая высота|какой длины|какой высоты|какова ширина|какова глубина|какая глубина|какова площадь|какая площадь|jaka głębokość|jaka szerokość|jaka powierzchnia",
    ),
    (
        Kind::Deadline,
        "by when|until when|what is the deadline|what deadline|when must|when do i have to|do kiedy|w jakim terminie|\
         jaki jest termin|до какого срока|в какой срок|до какого числа|до когда",
    ),
    (Kind::Often, "how often|how frequently|jak często|co ile|z jaką częstotliwością|как часто|с какой периодичностью|раз во сколько"),
    (Kind::Soon, "how soon|how quickly|how fast|jak szybko|jak prędko|как быстро|как скоро"),
    (
        Kind::Duration,
        "how long|what period|notice period|within what time|how much time|how far in advance|\
         how early|jak długo|jak długi|jak długa|w jakim czasie|w ciągu jakiego czasu|ile czasu|\
         ile mam czasu|ile mamy czasu|ile trwa|ile trwał|ile trwała|ile trwało|ile zajmuje|z jakim wyprzedzeniem|jaki okres|\
         przez jaki czas|jaki jest okres|jak wcześnie|как долго|сколько времени|какой срок|каков срок|\
         за какое время|за какой срок|на какой срок|за сколько|сколько длится|сколько длилась|сколько длился|\
         сколько хранится|сколько хранятся|сколько хранить|сколько действует|сколько занимает|каков период|какой период|\
         какова длительность|какова продолжительность",
    ),
    (
        Kind::Year,
        "which year|what year|w którym roku|którego roku|w jakim roku|od którego roku|w których latach|в каком году|с какого года|в каких годах",
    ),
    (
        Kind::Time,
        "what time|what date|which day|what day|which days|what days|which month|what month|since when|which century|\
         what century|o której|do której|od której|od kiedy|jakiego dnia|w jakim dniu|którego dnia|\
         w których godzinach|w jakich godzinach|w jakie dni|w które dni|jakie dni|w jaki dzień|w który dzień|по каким дням|каким дням|какие дни|в который день|w którym wieku|w jakim wieku|во сколько|в котором часу|\
         какого числа|в какой день|в какие дни|в какое время|в какие часы|до скольки|со скольки|в каком месяце|в каком веке|\
         когда именно",
    ),
    (
        Kind::Name,
        "which company|what company|which manufacturer|which firm|which vendor|which supplier|what brand|which brand|\
         which provider|which bank|which carrier|what is the name|what's the name|what was the name|która firma|jaka firma|\
         jakiej firmy|jakiej marki|jaka marka|który producent|który dostawca|jaki bank|jak nazywa się firma|jaką nazwę|\
         какая компания|какая фирма|какой фирмы|какой марки|какой производитель|какой поставщик|какой банк|как называется|\
         как назывался|как называлась|какое название",
    ),
    (
        Kind::Room,
        "which room|what room|which floor|what floor|na którym piętrze|które piętro|w którym pokoju|w jakim pokoju|w którym gabinecie|w jakim gabinecie|\
         w której sali|w jakiej sali|на каком этаже|в каком кабинете|в какой комнате|в какой аудитории|в каком зале",
    ),
    (
        Kind::Place,
        "which city|which country|what city|what country|w jakim mieście|\
         w którym mieście|w jakim kraju|в каком городе|в какой стране",
    ),
];

/// Question words that decide only when they open the question or a clause of it, for they also join clauses.
const OPENING: &[(Kind, &str)] = &[
    (Kind::Time, "when|kiedy|когда"),
    (Kind::Reason, "why|dlaczego|czemu|почему|зачем|отчего"),
    (
        Kind::Person,
        "who|whom|whose|kto|kogo|komu|kim|czyj|czyja|czyje|кто|кого|кому|кем|чей|чья|чьё|чьи|как зовут|jak się nazywa|\
         jak nazywa się",
    ),
    (Kind::Place, "where|gdzie|skąd|dokąd|где|куда|откуда"),
];

const PHONES: &str = "phone|telephone|mobile|extension|bleep|telefon|telefonu|wewnętrzny|телефон|добавочный|добавочного|телефона";
const PHONE_FRAMES: &str = "what is|what's|what are|jaki jest|jaki|jakie są|какой|каков|какие";

const HOW_MANY: &str =
    "how many|what number of|ile|ilu|iloma|jaka liczba|сколько|скольких|сколькими|скольким|какое количество|каково количество";
const HOW_MUCH: &str = "how much|what amount|how high|how big|how large|what size|what limit|which limit|what is the limit|\
     what is the maximum|do jakiej|jaki limit|jaki jest limit|jaki maksymalny|w jakiej wysokości|jakiej wysokości|jaka pojemność|\
     каков размер|какой размер|какой лимит|каков лимит|насколько|какая вместимость|каков максимальный|какой максимальный";
const TIME_UNITS: &str = "minut|hour|day|week|month|year|second|godzin|dni|dób|tygodni|miesi|lat|sekund|czas|час|дней|дня|недел|\
     месяц|лет|год|секунд|суток|времени";
const MEASURES: &str = "litr|liter|литр|kilogram|килограмм|kg|кг|gram|грамм|tons|tonn|tony|тонн|megab|gigab|terab|мегаб|гигаб|тераб|mb|gb|tb|мб|гб|\
     watt|wat|ватт|kw|квт|volt|wolt|вольт";
const MONEY_NOUNS: &str = "price|prices|cost|costs|earn|earns|wage|wages|charge|charged|salary|fee|fees|pay|paid|budget|allowance|diem|rate|expensive|bonus|deposit|\
     fine|zarabia|zarabiają|dopłacić|dopłacę|dołożyć|premię|nagroda|cena|cenę|ceny|koszt|koszty|kosztu|kosztuje|kosztują|kwota|kwoty|kwocie|kwotę|opłata|opłaty|opłatę|płacimy|płacę|płaci|\
     zapłacę|zapłacimy|zapłacić|wynagrodzenie|pensja|stawka|stawki|dieta|diety|ryczałt|ryczałtu|premia|premii|dopłata|\
     dofinansowanie|kaucja|цена|цены|цену|стоит|стоят|стоимость|плата|плату|платим|платит|платить|заплачу|заплатить|оплата|сумма|\
     суммы|зарплата|суточные|суточных|тариф|премия|доплата|взнос|штраф|оклад|обойдётся|обойдется|вычтут|удержат|заплатят|доплачивают|доплатить|получает|зарабатывает|зарплату|почём";
const MONEY_FRAMES: &str = "what is|what's|what was|what are|what would|what does|what do|what will|jaka|jaki|jaką|jakie|jakiej|\
     ile|za ile|какова|какая|какой|какие|какую|почём|во сколько|сколько|how much|do jakiej|какую сумму";
const ROLES: &str = "manager|director|head|chief|owner|leader|boss|president|ceo|chair|librarian|coordinator|officer|secretary|mayor|dean|rector|\
     kierowni|dyrektor|prezes|szef|właścicie|naczelni|przewodnicz|ordynator|burmistrz|prezydent|dziekan|rektor|koordynator|inspektor|sekretarz|dozorc|\
     комендант|заведующ|староста|мэр|декан|ректор|секретар|координатор|старший|\
     руководител|директор|начальник|заместител|глава|главой|председател|владел|спонсор|sponsor|opiekun";
const BEING: &str = "who is|who was|who are|who's|kto jest|kto był|kto to|kim jest|kto pełni|кто является|кто такой|кто у нас|\
     кто наш|кто был|кто занимает|как зовут|jak nazywa się|jak się nazywa";

/// The kind a question asks for. `words` are its words in lower case, in order.
pub(super) fn expected(words: &[&str]) -> Kind {
    let text = words.join(" ");
    let has = |list: &str| list.split('|').any(|phrase| phrase_in(&text, phrase));
    if let Some((kind, _)) = RULES.iter().take(8).find(|(_, phrases)| has(phrases)) {
        return *kind;
    }
    if has(PHONES) && has(PHONE_FRAMES) {
        return Kind::Phone;
    }
    let counted = counted(words);
    let how_many = has(HOW_MANY);
    let how_much = has(HOW_MUCH);
    let opening = OPENING.iter().find(|(_, phrases)| phrases.split('|').any(|phrase| opens(words, phrase))).map(|(kind, _)| *kind);
    let bare = words.len() <= 6 && opening.is_none() && !has("how|why|if|czy|jak|dlaczego|gdy|как|почему|если|можно ли");
    let counts_time = counted.is_some_and(|w| TIME_UNITS.split('|').any(|stem| w.starts_with(stem)));
    if has(MONEY_NOUNS)
        && opening.is_none()
        && !counts_time
        && (how_much || bare || has(MONEY_FRAMES))
        && !has("how long|jak długo|как долго|how often|jak często|как часто|za co|за что")
    {
        return Kind::Money;
    }
    if let Some((kind, _)) = RULES.iter().skip(8).find(|(_, phrases)| has(phrases)) {
        return *kind;
    }
    let counts_length =
        counted.is_some_and(|w| ["kilomet", "metr", "mile", "feet", "километр", "метр", "миль"].iter().any(|stem| w.starts_with(stem)));
    if how_many && counts_length {
        return Kind::Distance;
    }
    // "How many litres": a number with a unit is no count of things.
    if how_many && counted.is_some_and(|w| MEASURES.split('|').any(|stem| w.starts_with(stem))) {
        return Kind::Amount;
    }
    if how_many && counted.is_some_and(is_mass) {
        return Kind::Amount;
    }
    if how_many {
        return if counts_time || lasts(words) { Kind::Duration } else { Kind::Count };
    }
    match opening {
        Some(Kind::Time) if words.contains(&"opened") || words.iter().any(|w| FOUNDED.split('|').any(|verb| verb == *w)) => Kind::Year,
        Some(Kind::Person) => {
            let named = has("name|nazywa|nazwisko|зовут|фамилия|imię|как зовут");
            let role = words.iter().any(|w| is_role(w)) && has(BEING);
            if named || role { Kind::PersonName } else { Kind::Person }
        }
        Some(kind) => kind,
        None if how_much => Kind::Amount,
        None if bare => KEYWORDS.iter().find(|(_, nouns)| has(nouns)).map_or(Kind::Any, |(kind, _)| *kind),
        None => Kind::Any,
    }
}

/// Words of coming about, which a year answers and opening hours do not.
const FOUNDED: &str = "built|founded|established|constructed|erected|zbudowano|wybudowano|powstał|powstała|powstało|założono|otwarto|построили|построен|\
     построена|построено|основан|основана|основали|открылась|открылся|открылось|создан|создана|возник|возникла";

/// What a query of a few keywords asks for, by a noun in it.
const KEYWORDS: &[(Kind, &str)] = &[
    (Kind::Phone, "phone|telephone|extension|hotline|number for|number of the|telefon|telefonu|infolinia|numer do|телефон|номер"),
    (Kind::Contact, "email|e-mail|почта"),
    (Kind::Deadline, "deadline|due date|termin|срок подачи|срок сдачи"),
    (
        Kind::Duration,
        "duration|period|notice period|warranty|guarantee|validity|okres|czas trwania|czas oczekiwania|gwarancja|ważność|срок|длительность|\
         продолжительность|период|гарантия|время ожидания",
    ),
    (
        Kind::Time,
        "opening hours|office hours|visiting hours|hours|opening times|start date|godziny|godziny otwarcia|godziny pracy|godziny przyjęć|data|часы работы|часы|\
         время работы|часы приёма|расписание|дата",
    ),
    (Kind::Temperature, "temperature|temperatura|температура"),
    (Kind::Speed, "speed|prędkość|скорость"),
    (
        Kind::Amount,
        "length|limit|capacity|size|rating|maximum|minimum|weight|power|długość|pojemność|rozmiar|wielkość|maksymalny|maksymalna|maksymalne|waga|moc|\
         лимит|размер|длина|вместимость|мощность|максимальный|максимальная|максимальное|минимальный|вес|объём",
    ),
];

/// "How many books does the library have", "сколько человек работает в школе": all there are, unlike "how many may I borrow".
pub(super) fn asks_total(words: &[&str]) -> bool {
    const BEING: &str = "have|has|own|owns|employ|employs|work|works|working|there|live|lives|living|belong|ma|mają|posiada|pracuje|zatrudnia|liczy|jest|są|mieszka|\
         работает|есть|имеет|насчитывает|живёт|живет|числится|учится";
    const ALLOWED: &str = "can|may|could|must|should|need|allowed|fit|hold|holds|take|takes|można|mogę|może|mogą|wolno|trzeba|musi|muszę|należy|можно|могу|\
         может|надо|нужно|должно|положено|разрешено";
    let any = |list: &str| words.iter().any(|w| list.split('|').any(|l| l == *w));
    // Russian leaves the verb out: "сколько книг в библиотеке".
    let bare = matches!(words, ["сколько", _, "в" | "на" | "у", _] | ["сколько", _, "в" | "на" | "у", _, _]);
    (any(BEING) || bare) && !any(ALLOWED)
}

/// True for a word that names a unit of time.
pub(super) fn is_time_unit(word: &str) -> bool {
    TIME_UNITS.split('|').any(|stem| word.starts_with(stem))
}

/// "Сколько мы храним", "ile trwa": how long, said with "how many" and a verb of lasting.
fn lasts(words: &[&str]) -> bool {
    const STEMS: &str = "храни|длит|действ|занима|продолж|ждать|ждём|держ|служи|trwa|zajm|czeka|obowiąz|przechow|trzyma";
    // "Na ile pożycza się", "на сколько могут оставить": a verb behind it, so nothing is counted.
    let for_how_long = |w: &[&str]| match w {
        ["na", "ile", verb] => verb.ends_with(['a', 'e', 'ą', 'i', 'y', 'ę']) && !is_time_unit(verb),
        ["на", "сколько", verb] => ["ют", "ут", "ят", "ается", "ится", "жно", "ают"].iter().any(|end| verb.ends_with(end)),
        _ => false,
    };
    if words.windows(3).any(for_how_long) {
        return true;
    }
    words
        .iter()
        .enumerate()
        .filter(|(_, w)| matches!(**w, "ile" | "сколько"))
        .any(|(at, _)| words.iter().skip(at + 1).take(2).any(|w| STEMS.split('|').any(|stem| w.starts_with(stem))))
}

/// True for a word that names a role: in "what is the director's name?" the answer has to say who is director.
pub(super) fn is_role(word: &str) -> bool {
    ROLES.split('|').any(|stem| word.starts_with(stem))
}

/// "Ile wolnego", "сколько отпуска": the genitive singular is how much, the plural how many.
fn is_mass(word: &str) -> bool {
    let polish = word.ends_with("ego") || word.ends_with('u');
    let russian =
        ["ого", "его"].iter().any(|end| word.ends_with(end)) || word.ends_with(['а', 'я', 'у']) && !matches!(word, "человека" | "раза");
    polish || russian
}

/// The word right behind "how many".
fn counted<'a>(words: &[&'a str]) -> Option<&'a str> {
    words
        .windows(3)
        .find_map(|w| match w {
            ["how", "many", thing] => Some(*thing),
            _ => None,
        })
        .or_else(|| {
            words.windows(2).find_map(|w| match w {
                ["ile" | "ilu" | "сколько" | "скольких", thing] => Some(*thing),
                _ => None,
            })
        })
}

/// True when the phrase opens the question (within four words), opens a question's last words, or stands before the verb after a preposition.
fn opens(words: &[&str], phrase: &str) -> bool {
    let parts: Vec<&str> = phrase.split(' ').collect();
    words.windows(parts.len()).enumerate().any(|(at, window)| {
        let clause = at > 0 && matches!(words.get(at - 1), Some(&("and" | "i" | "и" | "a" | "а")));
        window == parts.as_slice() && (at < 2 || clause || at + parts.len() == words.len())
    })
}

/// True when the phrase stands in the text as whole words.
pub(super) fn phrase_in(text: &str, phrase: &str) -> bool {
    text.match_indices(phrase).any(|(at, _)| {
        let before = text.get(..at).and_then(|t| t.chars().next_back());
        let after = text.get(at + phrase.len()..).and_then(|t| t.chars().next());
        before.is_none_or(|c| !c.is_alphanumeric()) && after.is_none_or(|c| !c.is_alphanumeric())
    })
}
