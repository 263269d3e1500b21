//! One row of the table of properties: its names, what it takes, its default, and the field that it sets.

use std::time::Duration;

use super::Config;

/// Where in the settings a property's value goes.
pub(super) type Place<T> = fn(&mut Config) -> &mut T;

/// One property. Parsing, `milena config`, the reference page and the tests iterate over these rows.
pub struct Property {
    /// Kafka's name, as in `linger.ms`.
    pub name: &'static str,
    /// Other names of the same thing: librdkafka's, or older ones of Kafka.
    pub aliases: &'static [&'static str],
    /// Whose setting it is.
    pub role: Role,
    /// The default as it would be written in a properties file; empty if there is none.
    pub default: &'static str,
    /// What it means, and why that default.
    pub doc: &'static str,
    kind: Kind,
}

/// Whose setting a property is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Of every role: connections, metadata, security.
    Client,
    /// Of producers.
    Producer,
    /// Of consumers.
    Consumer,
}

impl Role {
    /// The role as the reference page prints it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Producer => "producer",
            Self::Consumer => "consumer",
        }
    }
}

/// A setting that is one of a few names.
pub(super) trait Choice: Sized + Copy + 'static {
    /// Each name and what it stands for; the first of a value is the one to use, the others are synonyms.
    const NAMES: &'static [(&'static str, Self)];
}

/// What a property takes and where it goes.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// Milliseconds from the first to the second number.
    Time(u64, u64, Place<Duration>),
    /// As `Time`; -1 means never.
    TimeOrNever(Place<Duration>),
    /// A whole number with its unit.
    Size(&'static str, usize, usize, Place<usize>),
    /// As `Size`, in the type that requests carry.
    Int(&'static str, i32, i32, Place<i32>),
    Flag(Place<bool>),
    Text(Place<String>),
    /// Text that is not empty.
    Name(Place<Option<String>>),
    /// Texts separated by commas, at least one; the first field says what each is.
    List(&'static str, Place<Vec<String>>),
    Choice(fn() -> Vec<&'static str>, fn(&mut Config, &str) -> bool),
    /// Kept as text until the other settings it goes with are known.
    Raw(Takes),
    /// A type of its own: what it takes, and how it is set; may hold a password.
    Url(&'static str, fn(&mut Config, &str) -> bool),
}

/// What text that is kept may be.
#[derive(Clone, Copy)]
pub(super) enum Takes {
    Text,
    /// Never printed, and not trimmed.
    Secret,
    Flag,
    OneOf(&'static [&'static str]),
}

impl Takes {
    fn accepts(self, text: &str) -> bool {
        match self {
            Self::Text | Self::Secret => !text.is_empty(),
            Self::Flag => flag(text).is_some(),
            Self::OneOf(names) => names.iter().any(|name| name.eq_ignore_ascii_case(text)),
        }
    }
}

/// Longer waits are not told from never: no clock arithmetic overflows with them.
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Java's `int` in milliseconds, where Kafka's own range ends.
pub(super) const INT: u64 = i32::MAX as u64;
/// Java's `long` in milliseconds.
pub(super) const LONG: u64 = i64::MAX as u64;

/// A choice whose names are those of `T`; `set` is [`put`] on the field.
pub(super) const fn choice<T: Choice>(set: fn(&mut Config, &str) -> bool) -> Kind {
    Kind::Choice(names::<T>, set)
}

/// Sets `place` to what `text` names; false if it names nothing.
pub(super) fn put<T: Choice>(place: &mut T, text: &str) -> bool {
    let found = T::NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    found.inspect(|(_, value)| *place = *value).is_some()
}

fn names<T: Choice>() -> Vec<&'static str> {
    T::NAMES.iter().map(|(name, _)| *name).collect()
}

impl Property {
    pub(super) const fn new(
        role: Role,
        name: &'static str,
        kind: Kind,
        default: &'static str,
        doc: &'static str,
    ) -> Self {
        Self { name, aliases: &[], role, default, doc, kind }
    }

    /// The same row with other names of the same thing.
    pub(super) const fn also(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// The type as the reference page prints it.
    pub fn type_name(&self) -> &'static str {
        match self.kind {
            Kind::Time(..) | Kind::TimeOrNever(_) => "milliseconds",
            Kind::Size(unit, ..) | Kind::Int(unit, ..) => unit,
            Kind::Flag(_) => "boolean",
            Kind::Text(_) | Kind::Name(_) => "text",
            Kind::List(..) => "list",
            Kind::Choice(..) | Kind::Raw(Takes::OneOf(_)) => "choice",
            Kind::Raw(Takes::Flag) => "boolean",
            Kind::Raw(Takes::Text) => "text",
            Kind::Raw(Takes::Secret) => "secret",
            Kind::Url(..) => "URL",
        }
    }

    /// Whether its value is never printed.
    pub fn is_secret(&self) -> bool {
        matches!(self.kind, Kind::Raw(Takes::Secret) | Kind::Url(..))
    }

    /// What it takes, in words.
    pub fn allowed(&self) -> String {
        match self.kind {
            Kind::Time(low, LONG, _) => format!("a whole number of milliseconds from {low}"),
            Kind::Time(low, high, _) => format!("a whole number of milliseconds from {low} to {high}"),
            Kind::TimeOrNever(_) => "a whole number of milliseconds from 0, or -1 for never".into(),
            Kind::Size(_, low, high, _) => format!("a whole number from {low} to {high}"),
            Kind::Int(_, low, high, _) => format!("a whole number from {low} to {high}"),
            Kind::Flag(_) => "true or false".into(),
            Kind::Text(_) => "any text".into(),
            Kind::Name(_) => "a name that is not empty".into(),
            Kind::List(each, _) => format!("{each}, separated by commas"),
            Kind::Choice(names, _) => format!("one of {}", names().join(", ")),
            Kind::Raw(Takes::OneOf(names)) => {
                let names: Vec<_> = names.iter().map(|name| if name.is_empty() { "nothing" } else { name }).collect();
                format!("one of {}", names.join(", "))
            }
            Kind::Raw(Takes::Flag) => "true or false".into(),
            Kind::Raw(_) => "text that is not empty".into(),
            Kind::Url(words, _) => words.into(),
        }
    }

    /// Type and range for a table of properties: shorter than [`allowed`](Self::allowed) where the type says it all.
    pub fn takes(&self) -> String {
        match self.kind {
            Kind::Size(unit, low, high, _) => format!("{unit}, {low} to {high}"),
            Kind::Int(unit, low, high, _) => format!("{unit}, {low} to {high}"),
            Kind::Time(low, LONG, _) => format!("milliseconds, from {low}"),
            Kind::Time(low, high, _) => format!("milliseconds, {low} to {high}"),
            Kind::TimeOrNever(_) => "milliseconds, from 0; -1 is never".into(),
            Kind::Raw(Takes::Secret) => "a secret".into(),
            Kind::Raw(Takes::Text) | Kind::Text(_) | Kind::Name(_) => "text".into(),
            _ => self.allowed(),
        }
    }

    /// Sets its field from text, without the blanks around it unless it is a secret. False if the text is not what it takes.
    pub(super) fn apply(&self, config: &mut Config, text: &str) -> bool {
        let text = if self.is_secret() { text } else { text.trim() };
        match self.kind {
            Kind::Time(low, high, place) => store(time(text, low, high), place(config)),
            Kind::TimeOrNever(place) if text == "-1" => store(Some(YEAR), place(config)),
            Kind::TimeOrNever(place) => store(time(text, 0, LONG), place(config)),
            Kind::Size(_, low, high, place) => store(within(text, low, high), place(config)),
            Kind::Int(_, low, high, place) => store(within(text, low, high), place(config)),
            Kind::Flag(place) => store(flag(text), place(config)),
            Kind::Text(place) => store(Some(text.to_owned()), place(config)),
            Kind::Name(place) => store((!text.is_empty()).then(|| Some(text.to_owned())), place(config)),
            Kind::List(_, place) => store(list(text), place(config)),
            Kind::Choice(_, set) | Kind::Url(_, set) => set(config, text),
            Kind::Raw(takes) => takes.accepts(text) && config.keep(self.name, text),
        }
    }
}

fn store<T>(value: Option<T>, place: &mut T) -> bool {
    value.map(|value| *place = value).is_some()
}

fn within<T: std::str::FromStr + PartialOrd>(text: &str, low: T, high: T) -> Option<T> {
    text.parse().ok().filter(|n| low <= *n && *n <= high)
}

fn time(text: &str, low: u64, high: u64) -> Option<Duration> {
    within(text, low, high).map(|ms| Duration::from_millis(ms).min(YEAR))
}

/// `true` and `false` in any case, as Java reads them.
fn flag(text: &str) -> Option<bool> {
    let is = |word: &str| text.eq_ignore_ascii_case(word);
    (is("true") || is("false")).then(|| is("true"))
}

fn list(text: &str) -> Option<Vec<String>> {
    let entries: Vec<String> = text.split(',').map(|s| s.trim().to_owned()).filter(|s| !s.is_empty()).collect();
    (!entries.is_empty()).then_some(entries)
}
