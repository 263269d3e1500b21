//! Reads `sasl.jaas.config` as Kafka's `JaasConfig` does: one login module, its control flag and its options.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::str::Chars;

use zeroize::Zeroizing;

use super::security::Secret;

/// A login module and its options. It holds passwords: it has no `Debug`.
pub(super) struct LoginModule {
    /// The class, as it is written.
    pub(super) class: String,
    pub(super) options: BTreeMap<String, Secret>,
}

#[derive(PartialEq, Eq)]
enum Token {
    /// A bare word.
    Word(Zeroizing<String>),
    /// Text in single or double quotes, escapes resolved.
    Quoted(Zeroizing<String>),
    /// Any other character.
    Sign(char),
}

/// The one module of the text, or what is wrong with it, in words that repeat no option's value.
pub(super) fn parse(text: &str) -> Result<LoginModule, String> {
    let mut tokens = tokens(text)?.into_iter().peekable();
    let Some(class) = tokens.next().and_then(word) else {
        return Err("it begins with the class of a login module".into());
    };
    let flag = tokens.next().and_then(word).unwrap_or_default();
    if !["required", "requisite", "sufficient", "optional"].iter().any(|known| flag.eq_ignore_ascii_case(known)) {
        return Err("`required` is missing behind the class of the login module".into());
    }
    let mut options = BTreeMap::new();
    loop {
        match tokens.next() {
            Some(Token::Sign(';')) => break,
            Some(Token::Word(key) | Token::Quoted(key)) => {
                let value = option_value(&mut tokens, &key)?;
                options.insert(key.to_string(), Secret::new(value.as_str()));
            }
            Some(Token::Sign(sign)) => {
                return Err(format!("`{sign}` stands where the name of an option should; {QUOTE}"));
            }
            None => return Err("it does not end with a semicolon".into()),
        }
    }
    match tokens.next() {
        None => Ok(LoginModule { class: class.to_string(), options }),
        Some(_) => Err("there is something behind the first semicolon: give exactly one login module".into()),
    }
}

const QUOTE: &str = "put values in double quotes, with a backslash before quotes and backslashes inside";

fn word(token: Token) -> Option<Zeroizing<String>> {
    match token {
        Token::Word(text) | Token::Quoted(text) => Some(text),
        Token::Sign(_) => None,
    }
}

fn option_value(tokens: &mut impl Iterator<Item = Token>, key: &str) -> Result<Zeroizing<String>, String> {
    let is_assigned = tokens.next() == Some(Token::Sign('='));
    let value = tokens.next().filter(|_| is_assigned).and_then(word);
    value.ok_or_else(|| format!("the option {key} has no value: write {key}=\"...\"; {QUOTE}"))
}

/// The tokens of Java's `StreamTokenizer` as Kafka sets it up, but for text without its closing quote, which Java takes
/// to end with the line: here that is an error.
fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut rest = text.chars().peekable();
    let mut tokens = Vec::new();
    while let Some(c) = rest.next() {
        match c {
            c if c <= ' ' => {}
            '/' => skip_comment(&mut rest)?,
            '"' | '\'' => tokens.push(Token::Quoted(quoted(&mut rest, c)?)),
            c if begins_word(c) => {
                let mut word = room(&rest);
                word.push(c);
                while let Some(c) = rest.next_if(|c| begins_word(*c) || matches!(c, '0'..='9' | '.' | '-')) {
                    word.push(c);
                }
                tokens.push(Token::Word(word));
            }
            c => tokens.push(Token::Sign(c)),
        }
    }
    Ok(tokens)
}

/// Digits, dots and dashes do not begin a word: Java reads a number there, which no option may be without quotes.
fn begins_word(c: char) -> bool {
    c.is_ascii_alphabetic() || matches!(c, '_' | '$') || c >= '\u{a0}'
}

fn skip_comment(rest: &mut Peekable<Chars<'_>>) -> Result<(), String> {
    match rest.next() {
        Some('/') => rest.find(|c| matches!(c, '\n' | '\r')).map_or(Ok(()), |_| Ok(())),
        Some('*') => {
            let mut before = ' ';
            let end = rest.find(|c| std::mem::replace(&mut before, *c) == '*' && *c == '/');
            end.map(drop).ok_or_else(|| "a comment is not closed".into())
        }
        _ => Err(format!("a slash stands outside of quotes; {QUOTE}")),
    }
}

/// Room for all that is left, so that no copy is left behind by text that grows.
fn room(rest: &Peekable<Chars<'_>>) -> Zeroizing<String> {
    let (least, most) = rest.size_hint();
    // A character that was looked at may be of four bytes.
    Zeroizing::new(String::with_capacity(most.unwrap_or(least) + 4))
}

fn quoted(rest: &mut Peekable<Chars<'_>>, quote: char) -> Result<Zeroizing<String>, String> {
    let mut text = room(rest);
    loop {
        match rest.next() {
            Some(c) if c == quote => return Ok(text),
            Some('\\') => text.push(escaped(rest)?),
            Some(c) if !matches!(c, '\n' | '\r') => text.push(c),
            _ => return Err("a quote is not closed".into()),
        }
    }
}

/// The character behind a backslash; up to three octal digits are its number.
fn escaped(rest: &mut Peekable<Chars<'_>>) -> Result<char, String> {
    let c = rest.next().ok_or("a quote is not closed")?;
    Ok(match c {
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        '0'..='7' => octal(c, rest),
        other => other,
    })
}

fn octal(first: char, rest: &mut Peekable<Chars<'_>>) -> char {
    let mut number = first.to_digit(8).unwrap_or_default();
    // A third digit counts only where the number stays a byte.
    let most = if first <= '3' { 3 } else { 2 };
    for _ in 1..most {
        let Some(digit) = rest.next_if(|c| c.is_digit(8)).and_then(|c| c.to_digit(8)) else { break };
        number = number * 8 + digit;
    }
    char::from_u32(number).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each line: what was written, a tab, and what Kafka's `JaasContext` makes of it (or that it refuses it).
    #[test]
    fn modules_and_options_are_read_as_kafka_reads_them() {
        let mut count = 0;
        for line in include_str!("../../fixtures/properties/jaas.tsv").lines() {
            let (written, read) = line.split_once('\t').unwrap();
            let written: String = unescaped(written);
            let ours = parse(&written).map_or("refused".into(), |module| {
                let options = module.options.iter();
                let options = options.map(|(k, v)| format!(" {}={}", k.escape_default(), v.expose().escape_default()));
                format!("{}{}", module.class, options.collect::<String>())
            });
            assert_eq!(ours, read, "{written}");
            count += 1;
        }
        assert!(count >= 25, "the fixture is there");
    }

    /// Undoes `\n` and `\\`, the only escapes of the fixture's first column.
    fn unescaped(text: &str) -> String {
        text.replace("\\\\", "\u{0}").replace("\\n", "\n").replace('\u{0}', "\\")
    }

    #[test]
    fn what_java_reads_quietly_and_nobody_means_is_refused() {
        for text in ["C required a=\"not closed\n;", "C required a=/path b=c;\n;", "C required a=\"b\""] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_error_tells_what_to_write_and_no_secret() {
        let secret = "hunter2";
        for (text, words) in [
            (format!("C required password={secret}"), "semicolon"),
            (format!("C required password=\"{secret};"), "quote is not closed"),
            (format!("C password=\"{secret}\";"), "`required` is missing"),
            (format!("C required password \"{secret}\";"), "password=\"...\""),
            (format!("C required password=1{secret};"), "double quotes"),
            (format!("C required password=\"{secret}\"; D required;"), "exactly one login module"),
            (String::new(), "class of a login module"),
            (secret.into(), "`required` is missing"),
            (format!("\"{secret}\";"), "`required` is missing"),
        ] {
            let error = parse(&text).err().unwrap();
            assert!(error.contains(words) && !error.contains(secret), "{text}: {error}");
        }
    }
}
