//! Settings from several places: a default gives way to a file, a file to the environment, the environment to arguments.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io::Read;
use std::path::Path;

use super::foreign::{self, Fate};
use super::property::Property;
use super::security::Secret;
use super::{Config, nearest, properties, properties_file, property, refused, shortened};
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind, Operation, Result};

/// What environment variables begin with: `MILENA_BOOTSTRAP_SERVERS` is `bootstrap.servers`.
const PREFIX: &str = "MILENA_";
/// No properties file of a person is larger.
const LARGEST_FILE: u64 = 1 << 20;
/// A variable whose name is this near to a property's is a mistake; others with our prefix are somebody else's
/// (`MILENA_PORT`, as Kubernetes makes up for a service of that name).
const NEAR: usize = 2;

/// Where a value came from; a later one of this order wins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// The table.
    Default,
    /// This file, on this line.
    File(String, usize),
    /// This variable of the environment.
    Environment(String),
    /// An argument of the command line or of the program.
    Argument,
}

impl Source {
    fn rank(&self) -> u8 {
        match self {
            Self::Default => 0,
            Self::File(..) => 1,
            Self::Environment(_) => 2,
            Self::Argument => 3,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(file, line) => write!(f, "{file}:{line}"),
            Self::Environment(name) => f.write_str(name),
            Self::Argument => f.write_str("argument"),
        }
    }
}

/// Values gathered from files, environment and arguments, in whatever order they are added.
#[derive(Default)]
pub struct Sources {
    given: BTreeMap<&'static str, Given>,
    warnings: Vec<String>,
}

struct Given {
    spelled: String,
    value: Secret,
    source: Source,
}

/// What settings came out, and where each value came from.
pub struct Resolved {
    /// The typed settings, checked for contradictions.
    pub config: Config,
    /// Every property in the table's order.
    pub values: Vec<Value>,
    /// What was passed over, and why; a sentence each.
    pub warnings: Vec<String>,
}

impl Resolved {
    /// Whether the property of this name was set anywhere.
    pub fn is_given(&self, name: &str) -> bool {
        self.values.iter().any(|value| value.property.name == name && value.source != Source::Default)
    }
}

/// One property's value, fit to be printed.
pub struct Value {
    /// Its row.
    pub property: &'static Property,
    /// The value, or `…` in place of a secret; empty if it is not set.
    pub shown: String,
    /// Where it came from.
    pub source: Source,
}

impl Sources {
    /// Adds a file in Java's `.properties` syntax. Of a key that is there twice the last one counts.
    ///
    /// Names that mean something to other clients only are passed over with a warning; unknown ones are errors, as are
    /// values out of range, with file and line.
    pub fn file(mut self, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = path.display().to_string();
        let bytes = read(path).map_err(|e| Error::new(Operation::Config, ErrorKind::Invalid, &file, e))?;
        let mut last = BTreeMap::new();
        for entry in properties_file::parse(&bytes, &file)? {
            last.insert(entry.key.clone(), entry);
        }
        for entry in last.into_values() {
            let source = Source::File(file.clone(), entry.line);
            match foreign::fate(&entry.key).filter(|_| property(&entry.key).is_none()) {
                Some((Fate::Ignored, why)) => {
                    self.warnings.push(format!("{source}: {} is passed over: {why}", shortened(&entry.key)));
                }
                _ => self.give(&entry.key, entry.value.expose(), source)?,
            }
        }
        Ok(self)
    }

    /// Adds the variables whose names are those of properties: in capitals, with `_` for each dot, behind `MILENA_`.
    ///
    /// A name that misses a property's by a letter or two is an error; others are left to whom they belong.
    pub fn environment(mut self, variables: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Self> {
        for (variable, value) in variables {
            let Some(variable) = variable.to_str() else { continue };
            let Some(name) = variable.strip_prefix(PREFIX) else { continue };
            let name = name.to_ascii_lowercase().replace('_', ".");
            if property(&name).is_some() {
                let value = value.to_str().ok_or_else(|| Error::invalid(variable, "its value is not UTF-8"))?;
                self.give(&name, value, Source::Environment(variable.to_owned()))?;
            } else if let Some(near) = nearest::within(&name, NEAR) {
                let meant = near.to_ascii_uppercase().replace('.', "_");
                return Err(Error::invalid(variable, format!("no such setting; did you mean {PREFIX}{meant}?")));
            }
        }
        Ok(self)
    }

    /// Adds one property; of several with the same name the last one counts.
    pub fn argument(mut self, name: &str, value: &str) -> Result<Self> {
        self.give(name, value, Source::Argument)?;
        Ok(self)
    }

    fn give(&mut self, name: &str, value: &str, source: Source) -> Result<()> {
        let property = property(name).ok_or_else(|| located(foreign::unknown(name), &source))?;
        if !property.apply(&mut Config::default(), value) {
            return Err(located(refused(property, name, value), &source));
        }
        let given = Given { spelled: name.to_owned(), value: Secret::new(value), source };
        if let Some(before) = self.given.get(property.name) {
            if before.source.rank() > given.source.rank() {
                return Ok(());
            }
            before.agree(&given)?;
        }
        self.given.insert(property.name, given);
        Ok(())
    }

    /// The settings, if they do not contradict each other. Whether `bootstrap.servers` is there is left to
    /// [`Config::check`]; files of keys and certificates are looked into as it does.
    pub fn resolve(self) -> Result<Resolved> {
        let mut config = Config::default();
        for property in properties() {
            if let Some(given) = self.given.get(property.name) {
                config.set(property.name, given.value.expose())?;
            }
        }
        config.check_together()?;
        let values = properties().map(|property| self.value(property)).collect();
        Ok(Resolved { config, values, warnings: self.warnings })
    }

    fn value(&self, property: &'static Property) -> Value {
        let Some(given) = self.given.get(property.name) else {
            return Value { property, shown: property.default.into(), source: Source::Default };
        };
        let shown = if property.is_secret() { "…".into() } else { shortened(given.value.expose()) };
        Value { property, shown, source: given.source.clone() }
    }
}

impl Given {
    /// One place that gives one property two values under two names contradicts itself.
    fn agree(&self, other: &Given) -> Result<()> {
        let is_same_place = self.source.rank() == other.source.rank();
        if !is_same_place || self.spelled == other.spelled || self.value == other.value {
            return Ok(());
        }
        let (name, also) = (&other.spelled, &self.spelled);
        Err(Error::invalid(name, format!("is another name of {also}, which has another value; give one of them")))
    }
}

/// The same error with where it was written, unless that is where it is read.
fn located(error: Error, source: &Source) -> Error {
    match source {
        Source::Default | Source::Argument => error,
        place => Error::new(Operation::Config, ErrorKind::Invalid, place.to_string(), error.to_string()),
    }
}

/// The file's bytes, or why not.
fn read(path: &Path) -> std::result::Result<Zeroizing<Vec<u8>>, String> {
    // With room for the largest: a list that grows leaves copies of passwords behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(LARGEST_FILE as usize + 1));
    let file = std::fs::File::open(path).map_err(|e| format!("the file cannot be opened: {e}"))?;
    file.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(|e| format!("the file cannot be read: {e}"))?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err("the file is larger than 1 MiB, which no properties file is".into());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
