//! PLAIN (RFC 4616): user and password in one message, readable by whoever reads the connection.

use crate::config::security::Secret;

/// The one message. Neither name nor password may hold the byte that separates them.
pub(super) fn message(username: &str, password: &Secret) -> Result<Secret, String> {
    if username.is_empty() || username.contains('\0') || password.expose().contains('\0') {
        return Err("sasl.username is empty, or it or sasl.password holds a zero byte".into());
    }
    Ok(Secret::concat(&["\0", username, "\0", password.expose()]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_password_are_separated_by_zero_bytes() {
        let message = message("tim", &Secret::new("tanstaaftanstaaf")).unwrap();
        assert_eq!(message.expose(), "\0tim\0tanstaaftanstaaf");
    }

    #[test]
    fn a_zero_byte_cannot_move_the_border_between_them() {
        for (username, password) in [("a\0b", "c"), ("a", "b\0c"), ("", "c")] {
            assert!(super::message(username, &Secret::new(password)).is_err());
        }
    }
}
