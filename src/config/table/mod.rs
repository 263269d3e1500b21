//! The one table of properties: a row here is understood everywhere, documented and tested.

mod client;
mod consumer;
mod producer;
mod security;

use super::property::Property;

/// Every property there is, in the order the reference prints them.
pub fn properties() -> impl Iterator<Item = &'static Property> {
    [client::ROWS, security::ROWS, producer::ROWS, consumer::ROWS].into_iter().flatten()
}

/// The property of this name or alias.
pub fn property(name: &str) -> Option<&'static Property> {
    properties().find(|p| p.name == name || p.aliases.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn every_default_in_the_table_is_the_typed_default() {
        let mut config = Config::default();
        for p in properties().filter(|p| !p.default.is_empty()) {
            config.set(p.name, p.default).unwrap_or_else(|e| panic!("{e}"));
        }
        assert_eq!(config, Config::default());
    }

    #[test]
    fn a_name_or_alias_belongs_to_one_row_and_looks_like_kafkas() {
        let mut names: Vec<&str> = properties().flat_map(|p| [&[p.name], p.aliases].concat()).collect();
        assert!(names.iter().all(|n| n.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.')));
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "a name is in the table twice");
    }

    #[test]
    fn every_row_tells_its_meaning_in_a_sentence() {
        for p in properties() {
            assert!(p.doc.ends_with('.') && p.doc.len() > 20 && !p.doc.contains('\n'), "{}: {}", p.name, p.doc);
        }
    }
}
