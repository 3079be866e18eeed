//! Words of which only one can be meant: who asks about the rear brakes is not answered with the front ones.

use std::collections::HashSet;
use std::sync::LazyLock;

use astrolabe_backends::analysis::{Lang, analyse};

use super::candidates::Bag;

/// One line a group, options separated by `|`, words that mean the same option by spaces. In a group marked `~` two other options in one sentence are
/// a range ("Monday to Friday") that may hold the one asked for.
const ENGLISH: &str = "front|rear back
small little|medium|large big
day daytime|night nighttime overnight
morning|afternoon|evening
summer|winter|spring|autumn
~monday mondays|tuesday tuesdays|wednesday wednesdays|thursday thursdays|friday fridays|saturday saturdays|sunday sundays
~january|february|march|april|june|july|august|september|october|november|december
adult adults|child children kids
electric|petrol|diesel|hybrid
indoor indoors|outdoor outdoors
new|old used
upper|lower
maximum|minimum
deep depth|wide width|high height tall|weigh weight weighs heavy|long length
arrival arrive|departure depart
single|double|triple
permanent|temporary
breakfast|lunch|dinner supper
bus minibus coach|train|taxi cab|plane flight|ferry|tram
dog dogs|cat cats|bird birds
chef cook|waiter waitress|receptionist|housekeeper
doctor|nurse|midwife|dentist|physiotherapist
car|motorbike motorcycle|bicycle bike|lorry truck|van|motorhome campervan
english|french|german|spanish|italian|polish|russian|ukrainian
beer|wine|coffee|tea
student students|pensioner pensioners senior seniors
first|second|third
part-time|full-time";

const POLISH: &str = "przedni przednie przód|tylny tylne tył
mały małe małego|średni średnie|duży duże dużego
dzień dniówka dzienny dzienna|noc nocny nocna nocka
rano poranny|wieczór wieczorem wieczorny
lato letni letnia letnie|zima zimowy zimowa zimowe|wiosna wiosenny|jesień jesienny
~poniedziałek poniedziałki poniedziałku|wtorek wtorki wtorku|środa środę środy|czwartek czwartki czwartku|piątek piątki piątku|sobota sobotę soboty|niedziela niedzielę niedziele
~styczeń stycznia styczniu|luty lutego lutym|marzec marca marcu|kwiecień kwietnia kwietniu|maj maja maju|czerwiec czerwca czerwcu czerwcowy czerwcowym|lipiec lipca lipcu|sierpień sierpnia sierpniu|wrzesień września wrześniu|październik października październiku|listopad listopada listopadzie|grudzień grudnia grudniu grudniowy grudniowym
dorosły dorośli dorosłych|dziecko dzieci dziecka
elektryczny elektryczne elektrycznych|benzynowy benzynowe|diesel|spalinowy spalinowe
nowy nowe|stary stare używany
górny górna|dolny dolna
maksymalny maksymalna|minimalny minimalna
głębokość głęboki głęboko|szerokość szeroki|wysokość wysoki wysoko|ważyć waży waga ciężar|długość długi
przyjazd|wyjazd odjazd
ulgowy ulgowa|normalny normalna
stacjonarny stacjonarne stacjonarnych|niestacjonarny niestacjonarne niestacjonarnych
śniadanie śniadania|obiad obiady|kolacja kolacje
autobus autobusem|pociąg pociągiem|tramwaj|taksówka taksówką|samolot
pies psa psy psem|kot kota koty|ptak ptaki
lekarz|pielęgniarka|położna|fizjoterapeuta|dentysta stomatolog
samochód auto|motocykl|rower|ciężarówka|hulajnoga
angielski|niemiecki|francuski|hiszpański|włoski|rosyjski|ukraiński
piwo|wino|kawa|herbata
emeryt senior|student|uczeń
pierwszy pierwsza|drugi druga|trzeci trzecia";

const RUSSIAN: &str = "передний передние|задний задние
маленький малый|средний|большой крупный
день дневной дневная|ночь ночной ночная ночью
утро утренний утром|вечер вечерний вечером
лето летний летом|зима зимний зимой|весна весенний|осень осенний
~понедельник понедельникам|вторник вторникам|среда среду средам|четверг четвергам|пятница пятницу пятницам|суббота субботу субботам субботы|воскресенье воскресеньям воскресенья
~январь января январе|февраль февраля феврале|март марта марте|апрель апреля апреле|май мая мае|июнь июня июне|июль июля июле|август августа августе|сентябрь сентября сентябре|октябрь октября октябре|ноябрь ноября ноябре|декабрь декабря декабре
взрослый взрослые взрослых|ребёнок дети детский ребёнка
электрический|бензиновый|дизельный
новый новые|старый старые
верхний|нижний
максимальный|минимальный
глубина глубину глубокий|ширина широкий|высота высокий|вес весит весить|длина длинный
приезд прибытие|отъезд выезд
завтрак|обед|ужин
автобус автобусом|поезд поездом|трамвай|такси|самолёт
собака собаки собаку|кошка кошки кошку|птица птицы
врач|медсестра|акушерка|стоматолог
автомобиль легковой|мотоцикл|велосипед|грузовик|самокат
английский|немецкий|французский|испанский|итальянский|китайский|казахский
пиво|вино|кофе|чай
пенсионер|студент|школьник
первый первая|второй вторая|третий третья";

/// An option of the question and the terms of those it excludes.
#[derive(Debug, Clone)]
pub(super) struct Contrast {
    wanted: HashSet<String>,
    others: Vec<HashSet<String>>,
    ranges: bool,
}

struct Group {
    options: Vec<HashSet<String>>,
    ranges: bool,
}

fn groups(lines: &str, lang: Lang) -> Vec<Group> {
    lines
        .lines()
        .map(|line| {
            let (ranges, line) = line.strip_prefix('~').map_or((false, line), |rest| (true, rest));
            Group { ranges, options: line.split('|').map(|option| analyse(option, lang).into_iter().map(|t| t.text).collect()).collect() }
        })
        .collect()
}

static GROUPS: LazyLock<[Vec<Group>; 3]> =
    LazyLock::new(|| [groups(ENGLISH, Lang::En), groups(POLISH, Lang::Pl), groups(RUSSIAN, Lang::Ru)]);

/// The options that a question settles, each group once.
pub(super) fn contrasts(question: &str, lang: Lang) -> Vec<Contrast> {
    let groups = match lang {
        Lang::En => GROUPS.first(),
        Lang::Pl => GROUPS.get(1),
        Lang::Ru => GROUPS.get(2),
        Lang::Other => None,
    };
    let asked: HashSet<String> = analyse(question, lang).into_iter().map(|t| t.text).collect();
    let mut found = Vec::new();
    for group in groups.into_iter().flatten() {
        let (named, others): (Vec<_>, Vec<_>) = group.options.iter().partition(|option| !option.is_disjoint(&asked));
        if let [wanted] = named.as_slice() {
            found.push(Contrast { wanted: (*wanted).clone(), others: others.into_iter().cloned().collect(), ranges: group.ranges });
        }
    }
    found
}

impl Contrast {
    /// Whether a sentence names another option, and neither it nor what stands above it the one asked for.
    pub(super) fn contradicts(&self, own: &Bag, above: &[&Bag]) -> bool {
        let names = |bag: &Bag, option: &HashSet<String>| option.iter().any(|term| bag.positions.contains_key(term));
        if names(own, &self.wanted) || above.iter().any(|bag| names(bag, &self.wanted)) {
            return false;
        }
        match self.others.iter().filter(|option| names(own, option)).count() {
            0 => false,
            1 => true,
            _ => !self.ranges,
        }
    }
}
