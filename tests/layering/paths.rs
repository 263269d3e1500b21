//! Finds what a source file imports from the crate's root, by its tokens: comments and texts are never taken for code.

use std::collections::BTreeMap;

/// One name of the crate's root that a file uses, and where.
pub(crate) struct Import {
    /// From 1.
    pub(crate) line: usize,
    /// The name after `crate::`, as `cluster`; `*` for all of them.
    pub(crate) name: String,
}

enum Token {
    Word(String),
    Mark(char),
}

/// The room of a file below `src/`: its directory, or its own name.
pub(crate) fn room(file: &str) -> &str {
    file.split('/').next().unwrap_or(file).trim_end_matches(".rs")
}

/// How many times `super` leads from the file's own module to the crate's root.
fn depth(file: &str) -> usize {
    let parts = file.split('/').count();
    let is_parent = file.ends_with("mod.rs") || file == "lib.rs" || file.starts_with("bin/");
    if file.starts_with("bin/") { 0 } else { parts - usize::from(is_parent) }
}

/// Every name of the root that `source` uses by `crate::` or by enough `super::`.
pub(crate) fn imports(file: &str, source: &str) -> Vec<Import> {
    let tokens = tokens(source);
    let (mut found, mut braces, mut inline) = (Vec::new(), 0usize, Vec::new());
    let mut at = 0;
    while let Some((line, token)) = tokens.get(at) {
        match token {
            Token::Mark('{') => braces += 1,
            Token::Mark('}') => {
                braces = braces.saturating_sub(1);
                inline.retain(|opened| *opened < braces);
            }
            Token::Word(word) if word == "mod" && is_mark(&tokens, at + 2, '{') => inline.push(braces),
            Token::Word(word) if word == "crate" => found.extend(names(&tokens, at + 1, *line)),
            Token::Word(word) if word == "super" => {
                let supers = supers(&tokens, at);
                if supers == depth(file) + inline.len() {
                    found.extend(names(&tokens, at + 3 * supers - 2, *line));
                }
                // The chain was looked at as one.
                at += 3 * supers - 3;
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// What `lib.rs` gives a second name at the root: `pub use client::Client` makes `Client` one of `client`.
pub(crate) fn reexports(lib: &str) -> BTreeMap<String, String> {
    let tokens = tokens(lib);
    let mut found = BTreeMap::new();
    for at in 0..tokens.len() {
        let (true, Some(room)) = (is_word(&tokens, at, "use"), word(&tokens, at + 1)) else { continue };
        let statement = tokens[at + 2..].iter().take_while(|(_, token)| !matches!(token, Token::Mark(';')));
        let mut last = None;
        for (_, token) in statement.chain([&(0, Token::Mark(','))]) {
            match token {
                Token::Word(word) => last = Some(word.clone()),
                Token::Mark(',') => drop(last.take().map(|name| found.insert(name, room.to_owned()))),
                Token::Mark(_) => {}
            }
        }
    }
    found
}

fn word(tokens: &[(usize, Token)], at: usize) -> Option<&str> {
    match tokens.get(at) {
        Some((_, Token::Word(word))) => Some(word),
        _ => None,
    }
}

fn is_word(tokens: &[(usize, Token)], at: usize, wanted: &str) -> bool {
    word(tokens, at) == Some(wanted)
}

fn is_mark(tokens: &[(usize, Token)], at: usize, wanted: char) -> bool {
    matches!(tokens.get(at), Some((_, Token::Mark(mark))) if *mark == wanted)
}

fn is_path(tokens: &[(usize, Token)], at: usize) -> bool {
    is_mark(tokens, at, ':') && is_mark(tokens, at + 1, ':')
}

/// How many `super` follow each other from here.
fn supers(tokens: &[(usize, Token)], at: usize) -> usize {
    (0..).take_while(|n| is_word(tokens, at + 3 * n, "super") && (*n == 0 || is_path(tokens, at + 3 * n - 2))).count()
}

/// The names that come next after `::`, one or a braced list. A name in the list is on its own line.
fn names(tokens: &[(usize, Token)], at: usize, line: usize) -> Vec<Import> {
    if !is_path(tokens, at) {
        return Vec::new();
    }
    let first = at + 2;
    if !is_mark(tokens, first, '{') {
        return name(tokens, first).map(|name| Import { line, name }).into_iter().collect();
    }
    let (mut found, mut braces, mut is_next) = (Vec::new(), 0, false);
    for at in first..tokens.len() {
        match &tokens[at].1 {
            Token::Mark('{') => {
                braces += 1;
                is_next = braces == 1;
            }
            Token::Mark('}') if braces == 1 => break,
            Token::Mark('}') => braces -= 1,
            Token::Mark(',') => is_next = braces == 1,
            _ if is_next => {
                is_next = false;
                found.extend(name(tokens, at).map(|name| Import { line: tokens[at].0, name }));
            }
            _ => {}
        }
    }
    found
}

/// A name of the root; `self` is the root itself and no import of a room.
fn name(tokens: &[(usize, Token)], at: usize) -> Option<String> {
    match &tokens.get(at)?.1 {
        Token::Word(word) => (word != "self").then(|| word.clone()),
        Token::Mark('*') => Some("*".into()),
        Token::Mark(_) => None,
    }
}

/// Words and marks with their lines. Texts, characters, lifetimes and comments leave nothing behind.
fn tokens(source: &str) -> Vec<(usize, Token)> {
    let chars: Vec<char> = source.chars().collect();
    let (mut found, mut at, mut line) = (Vec::new(), 0, 1);
    while at < chars.len() {
        let end = match chars[at] {
            '/' if chars.get(at + 1) == Some(&'/') => end_of_line(&chars, at),
            '/' if chars.get(at + 1) == Some(&'*') => end_of_comment(&chars, at),
            '"' => end_of_text(&chars, at),
            '\'' => end_of_quote(&chars, at),
            c if c.is_alphanumeric() || c == '_' => {
                let end = (at..chars.len()).find(|i| !is_word_char(chars[*i])).unwrap_or(chars.len());
                let word: String = chars[at..end].iter().collect();
                match raw(&chars, &word, end) {
                    Some(end) => end,
                    None => {
                        found.push((line, Token::Word(word)));
                        end
                    }
                }
            }
            c => {
                if !c.is_whitespace() {
                    found.push((line, Token::Mark(c)));
                }
                at + 1
            }
        };
        line += chars[at..end.min(chars.len())].iter().filter(|c| **c == '\n').count();
        at = end;
    }
    found
}

fn is_word_char(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Where a raw text ends whose prefix was just read; or, for a raw name, where the name itself begins.
fn raw(chars: &[char], prefix: &str, at: usize) -> Option<usize> {
    if !["r", "br", "cr"].contains(&prefix) {
        return None;
    }
    let hashes = chars[at..].iter().take_while(|c| **c == '#').count();
    if chars.get(at + hashes) != Some(&'"') {
        return (hashes == 1).then_some(at + 1);
    }
    let body = at + hashes + 1;
    let is_end = |i: &usize| chars[*i] == '"' && chars[i + 1..].iter().take_while(|c| **c == '#').count() >= hashes;
    Some((body..chars.len()).find(is_end).map_or(chars.len(), |quote| quote + 1 + hashes))
}

fn end_of_line(chars: &[char], at: usize) -> usize {
    (at..chars.len()).find(|i| chars[*i] == '\n').unwrap_or(chars.len())
}

/// Comments nest.
fn end_of_comment(chars: &[char], at: usize) -> usize {
    let (mut i, mut open) = (at, 0usize);
    while i + 1 < chars.len() {
        match (chars[i], chars[i + 1]) {
            ('/', '*') => (open, i) = (open + 1, i + 2),
            ('*', '/') => (open, i) = (open - 1, i + 2),
            _ => i += 1,
        }
        if open == 0 {
            return i;
        }
    }
    chars.len()
}

fn end_of_text(chars: &[char], at: usize) -> usize {
    let mut i = at + 1;
    while i < chars.len() && chars[i] != '"' {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    i + 1
}

/// After a character, or after the mark of a lifetime.
fn end_of_quote(chars: &[char], at: usize) -> usize {
    match (chars.get(at + 1), chars.get(at + 2)) {
        (Some('\\'), _) => (at + 3..chars.len()).find(|i| chars[*i] == '\'').map_or(chars.len(), |quote| quote + 1),
        (_, Some('\'')) => at + 3,
        _ => at + 1,
    }
}
