//! Word lists by which `holdings` tells what a sentence holds.

use std::collections::HashSet;
use std::sync::LazyLock;

/// A list of lower-case words.
pub(super) type Words = LazyLock<HashSet<&'static str>>;

pub(super) fn words_of(list: &'static str) -> HashSet<&'static str> {
    list.split('|').collect()
}

pub(super) const MONEY_WORDS: &str = "free of charge|free|at no cost|bezpłatnie|bezpłatny|bezpłatna|bezpłatne|za darmo|\
     nieodpłatnie|бесплатно|бесплатный|бесплатна|бесплатен";

pub(super) const AGES: &str = "years old|year old|aged|age|under|over|older|younger|years|lat|lata|wiek|wieku|roku życia|pełnoletni|pełnoletnie|pełnoletnim|лет|возраст|возраста|возрасте|старше|\
     младше|совершеннолетний|совершеннолетние|совершеннолетним|летия";

pub(super) const REASONS: &str = "because|owing to|due to|so that|in order to|otherwise|reason|reasons|to prevent|to avoid|for safety|bo|ponieważ|gdyż|ze względu|z powodu|aby|żeby|w celu|z przyczyn|\
     powodem|przyczyną|dlatego że|потому|поскольку|так как|чтобы|из-за|ввиду|в связи с|по причине|причина|ради|во избежание|того требует|этого требует";

pub(super) const WITHIN: &str = "within an hour|within a day|within a week|within a month|within a year|an hour|a day|a week|a month|w ciągu godziny|w ciągu doby|w ciągu dnia|\
     w ciągu tygodnia|w ciągu miesiąca|w ciągu roku|w ciągu kwadransa|pół roku|pół godziny|dzień wcześniej|tydzień wcześniej|dzień przed|в течение часа|в течение дня|\
     в течение суток|в течение недели|в течение месяца|в течение года|за час|за день|за сутки|за неделю|за месяц|через час|через день|через неделю|через месяц|po tygodniu|\
     po miesiącu|na rok|na tydzień|na miesiąc|на год|на месяц|на неделю|полгода|полчаса|накануне|the day before|half a year|half an hour|a fortnight";

pub(super) const PROMPT: &str = "the same day|same day|the next day|next morning|next working day|the same afternoon|immediately|at once|straight away|tego samego dnia|następnego dnia|\
     natychmiast|niezwłocznie|od razu|в тот же день|на следующий день|немедленно|сразу|незамедлительно";

pub(super) const REPEATING: &str = "daily|weekly|monthly|yearly|annually|quarterly|hourly|every day|every week|every month|every year|every morning|every evening|each day|each week|each month|\
     each year|once a|twice a|times a|a week|a month|a year|per year|per month|codziennie|co tydzień|co dzień|co miesiąc|co rok|co kwartał|rocznie|miesięcznie|tygodniowo|raz na|raz w|\
     razy w|razy na|ежедневно|еженедельно|ежемесячно|ежегодно|каждый день|каждую неделю|каждый месяц|каждый год|раз в|раза в|дважды в|в год|в месяц|в неделю|в сутки";

pub(super) const CLAUSES: &str = "after|before|until|during|as soon as|po|przed|podczas|dopiero|после|перед|пока|во время|\
     century|wieku|wiek|века|веке|век|era|epoce|эпоху";

pub(super) const BOUNDS: &str = "up to|at most|no more than|not more than|at least|at a time|maximum|for every|for each|najwyżej|maksymalnie|co najmniej|nie więcej niż|\
     do|przypada|на каждого|на каждые|не больше|не более|не меньше|не менее|максимум|до|можно";

pub(super) static MONEY: Words = LazyLock::new(|| {
    words_of(
        "eur|euro|euros|usd|pln|gbp|kzt|rub|zł|złotych|złote|złoty|zlotych|groszy|dollar|dollars|\
     cents|pound|pounds|руб|рублей|рубля|рубль|тенге|евро|доллар|доллара|долларов|грн|гривен|\
     франков|юаней|yuan|yen|rupees|francs|marks|marek|franków|dolarów|funtów",
    )
});

pub(super) static TIME_UNITS: Words = LazyLock::new(|| {
    words_of(
        "second|seconds|minute|minutes|hour|hours|day|days|week|weeks|weekend|month|months|year|years|\
     decade|decades|century|centuries|sekund|sekundy|sekundę|minut|minuty|minutę|godzin|godziny|\
     godzinę|godzinie|dni|dnia|dzień|dniach|doba|dobę|doby|tydzień|tygodnie|tygodni|tygodnia|\
     miesiąc|miesiące|miesięcy|miesiąca|rok|roku|lata|lat|latach|секунд|секунды|секунду|минут|\
     минуты|минуту|час|часа|часов|часу|день|дня|дней|дни|сутки|суток|неделя|недели|неделю|недель|\
     месяц|месяца|месяцев|год|года|лет|мин|ч|сек|min|h|s",
    )
});

pub(super) static MONTHS: Words = LazyLock::new(|| {
    words_of(
        "january|february|march|april|may|june|july|august|september|october|november|december|\
     stycznia|lutego|marca|kwietnia|maja|czerwca|lipca|sierpnia|września|października|listopada|\
     grudnia|styczeń|luty|marzec|kwiecień|maj|czerwiec|lipiec|sierpień|wrzesień|październik|\
     listopad|grudzień|styczniu|lutym|marcu|kwietniu|maju|czerwcu|lipcu|sierpniu|wrześniu|\
     październiku|listopadzie|grudniu|января|февраля|марта|апреля|мая|июня|июля|августа|сентября|\
     октября|ноября|декабря|январе|феврале|марте|апреле|мае|июне|июле|августе|сентябре|октябре|\
     ноябре|декабре|январь|февраль|март|апрель|май|июнь|июль|август|сентябрь|октябрь|ноябрь|\
     декабрь",
    )
});

pub(super) static DAYS: Words = LazyLock::new(|| {
    words_of(
        "monday|tuesday|wednesday|thursday|friday|saturday|sunday|mondays|tuesdays|wednesdays|\
     thursdays|fridays|saturdays|sundays|weekdays|poniedziałek|wtorek|środa|środę|czwartek|piątek|\
     sobota|sobotę|niedziela|niedzielę|poniedziałki|wtorki|środy|czwartki|piątki|soboty|\
     poniedziałku|piątku|понедельник|вторник|среда|среду|четверг|пятница|пятницу|суббота|субботу|\
     воскресенье|понедельника|пятницы|пятницам|понедельникам|вторникам|средам|четвергам|субботам|\
     noon|midnight|południe|północ|północy|полдень|полночь|morning|evening|afternoon|night|today|\
     tomorrow|o'clock|pm|am|godz|rano|wieczorem|wieczór|утром|утра|вечером|вечера|ночи",
    )
});

pub(super) static SEASONS: Words = LazyLock::new(|| {
    words_of(
        "spring|summer|autumn|winter|wiosna|wiosną|wiosnę|wiosny|lato|latem|jesień|jesienią|jesieni|zima|zimą|zimę|zimy|весна|весной|весну|весны|\
     лето|летом|осень|осенью|осени|зима|зимой|зиму|зимы",
    )
});

pub(super) static DISTANCE: Words = LazyLock::new(|| {
    words_of(
        "m|km|cm|mm|metre|metres|meter|meters|kilometre|kilometres|kilometers|mile|miles|feet|foot|\
     inch|inches|yards|yard|metr|metry|metrów|metra|kilometr|kilometry|kilometrów|centymetrów|\
     milimetrów|метр|метра|метров|километр|километра|километров|км|м|см|мм|миль|мили|сантиметров|\
     футов|hectares|acres|ha|hektarów|m²|га|ft",
    )
});

pub(super) static ROLES: Words = LazyLock::new(|| {
    words_of(
        "manager|managers|supervisor|director|head|engineer|engineers|lead|leader|officer|team|desk|\
     department|staff|owner|administrator|admin|commander|reception|receptionist|accountant|\
     committee|board|council|secretary|employee|employees|user|users|owners|colleague|colleagues|\
     approver|operator|operators|driver|guard|parliament|king|queen|president|government|\
     przełożony|przełożonego|przełożonemu|przełożonym|kierownik|kierownika|kierownikowi|dyrektor|\
     dyrektora|dyrektorowi|dział|działu|działowi|zespół|zespołu|księgowość|księgowości|kadry|kadr|\
     specjalista|inżynier|zarząd|zarządu|koordynator|koordynatora|dyspozytor|dyspozytora|mistrz|\
     brygadzista|magazynier|recepcja|recepcji|pracownik|pracownicy|pracownika|operator|\
     administrator|administratora|komisja|rada|król|prezydent|rząd|producent|producenta|prezes|\
     prezesa|руководитель|руководителя|руководителю|руководителем|начальник|начальника|начальнику|\
     директор|директора|директору|директором|отдел|отдела|отделу|отделом|служба|службы|службу|\
     бухгалтерия|бухгалтерии|бухгалтер|специалист|инженер|инженера|инженеру|диспетчер|диспетчера|\
     диспетчеру|мастер|мастера|мастеру|администратор|администратора|оператор|комиссия|совет|\
     сотрудник|сотрудника|сотрудники|работник|менеджер|менеджера|менеджеру|охрана|охрану|король|\
     президент|правительство|центр|центра|подрядчик|дежурный|дежурного|дежурному",
    )
});

pub(super) static PLACES: Words = LazyLock::new(|| {
    words_of(
        "room|floor|building|street|office|warehouse|gate|entrance|desk|city|country|folder|page|tab|\
     menu|drawer|cabinet|locker|pokój|pokoju|piętro|piętrze|budynek|budynku|ulica|ul|ulicy|biuro|\
     biurze|magazyn|magazynie|brama|bramie|hala|hali|wejście|mieście|folderze|zakładce|szafie|\
     szafka|комната|комнате|кабинет|кабинете|этаж|этаже|здание|здании|улица|ул|улице|офис|офисе|\
     склад|складе|ворота|вход|входа|город|городе|папке|разделе|вкладке|шкафу|in|at|near|behind|\
     next|w|na|przy|obok|в|на|у|возле",
    )
});

pub(super) static ROOMS: Words = LazyLock::new(|| {
    words_of(
        "room|rooms|floor|office|theatre|ward|suite|desk|hall|pokój|pokoju|pok|sala|sali|gabinet|gabinecie|piętro|piętrze|parter|parterze|\
     кабинет|кабинете|каб|комната|комнате|этаж|этаже|аудитория|аудитории|зал|зале",
    )
});

/// Words that hardly stand in a sentence that does not say where something is.
pub(super) static LOCATING: Words = LazyLock::new(|| {
    words_of(
        "between|beside|behind|near|opposite|under|underneath|above|corridor|hallway|cellar|basement|attic|kitchen|cupboard|\
     shelf|stairs|staircase|yard|garage|lobby|między|obok|naprzeciwko|pod|nad|korytarz|korytarzu|piwnica|piwnicy|strychu|kuchni|\
     półka|półce|schodami|schodach|podwórzu|garażu|holu|между|рядом|напротив|под|над|коридоре|подвале|чердаке|кухне|полке|\
     лестнице|лестницей|дворе|гараже|гаражом|холле|площадка|площадке",
    )
});

pub(super) static CONTACT: Words = LazyLock::new(|| {
    words_of(
        "extension|ext|phone|telephone|bleep|внутренний|внутреннему|wewnętrzny|wewn|tel|telefon|numer|numerem|доб|добавочный|тел|\
     телефон|номер|номеру",
    )
});

pub(super) static YEAR_FRAMES: Words = LazyLock::new(|| {
    words_of(
        "in|since|from|until|till|by|of|early|late|around|circa|year|w|we|roku|rok|r|od|do|z|przed|po|lata|latach|в|с|до|от|году|года|год|г|гг|около|после|к|by|january|february|march|april|may|june|july|\
         august|september|october|november|december",
    )
});

pub(super) static DEGREES: Words =
    LazyLock::new(|| words_of("degrees|degree|stopni|stopnie|stopień|градусов|градуса|градус|celsius|fahrenheit|c|f"));

pub(super) static PERCENT: Words = LazyLock::new(|| words_of("percent|procent|procenta|процент|процента|процентов"));

pub(super) static SPEED: Words = LazyLock::new(|| words_of("mph|kph|mbit|gbit|kbit|mbps|gbps|kbps|мбит|гбит|кбит|knots|km/h|км/ч"));

pub(super) static UNITS: Words = LazyLock::new(|| {
    words_of(
        "kb|mb|gb|tb|кб|мб|гб|тб|kw|kwh|w|v|a|kg|g|mg|t|l|ml|кг|г|т|л|мл|квт|вт|в|кв|bar|px|dpi|inch|inches|cali|дюймов|dbm|дбм|db|hz|ghz|mhz|\
         kilogramów|tonnes|tons|litres|liters|litrów|литров|килограммов|тонн|ton|bit|bits|bajtów|байт|bytes|th|st|nd|rd",
    )
});
