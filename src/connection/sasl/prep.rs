//! SASLprep (RFC 4013): different ways to type the same name or password become the same bytes.

/// The prepared text, or `None` if it holds what no name or password may, or nothing is left of it.
///
/// Code points that Unicode 3.2 had not assigned pass as they are, as RFC 4013 has it for queries; Java's client passes
/// them too.
pub(super) fn prepare(text: &str) -> Option<String> {
    let prepared = match stringprep::saslprep(text) {
        Ok(prepared) => prepared.into_owned(),
        Err(_) if text.chars().any(is_unassigned) && !text.chars().any(char::is_control) => text.to_owned(),
        Err(_) => return None,
    };
    (!prepared.is_empty()).then_some(prepared)
}

fn is_unassigned(c: char) -> bool {
    stringprep::tables::unassigned_code_point(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_rfc_4013() {
        assert_eq!(prepare("I\u{AD}X").as_deref(), Some("IX"), "soft hyphen goes");
        assert_eq!(prepare("user").as_deref(), Some("user"));
        assert_eq!(prepare("USER").as_deref(), Some("USER"), "case stays");
        assert_eq!(prepare("\u{AA}").as_deref(), Some("a"), "NFKC");
        assert_eq!(prepare("\u{2168}").as_deref(), Some("IX"), "NFKC");
        assert_eq!(prepare("\u{7}"), None, "a control character");
        assert_eq!(prepare("\u{627}\u{31}"), None, "both directions");
    }

    #[test]
    fn newer_characters_pass_and_nothing_is_no_name() {
        assert_eq!(prepare("🦀1").as_deref(), Some("🦀1"));
        assert_eq!(prepare(""), None);
        assert_eq!(prepare("\u{AD}"), None);
    }
}
