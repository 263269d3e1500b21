//! The reference page: derived from the table, so that it cannot say anything else.

use std::fmt::Write;

use super::foreign::{self, Fate};
use super::property::{Property, Role};
use super::table::properties;

const INTRODUCTION: &str = "\
# Configuration

Generated from the table of properties; a test fails when it is stale. To make it anew:
`MILENA_RECORD=1 cargo test --test configuration` (or `milena config --markdown`).

Names are Kafka's, or librdkafka's where it has another one for the same thing. A value comes from the first of these
places that has it:

1. `-X name=value` on the command line, `Sources::argument` in a program;
2. the environment: `MILENA_LINGER_MS=20` is `linger.ms`. A variable that misses a name by a letter or two is an error,
   any other one that begins with `MILENA_` is left alone;
3. a file in Java's `.properties` syntax, given by `--config FILE` or `Sources::file`: comments, continued lines, escapes,
   `=`, `:` or blanks between name and value, the last one of a repeated name. It is read as UTF-8, or as ISO 8859-1 (as
   Java reads it) where it is not valid UTF-8;
4. the default.

`milena config --config FILE` prints what a file resolves to and where each value comes from. An unknown name is an error
that offers the nearest; a value out of range is one that tells the range; settings that contradict each other name both.
Secrets are never printed. Waits longer than a year are a year.
";

/// The page in Markdown.
pub fn reference() -> String {
    let mut page = String::from(INTRODUCTION);
    for (role, title) in [(Role::Client, "Every role"), (Role::Producer, "Producers"), (Role::Consumer, "Consumers")] {
        let _ = write!(page, "\n## {title}\n\n| property | takes | default | what it means |\n|---|---|---|---|\n");
        properties().filter(|p| p.role == role).for_each(|p| row(&mut page, p));
    }
    page.push_str(
        "\n## Of other clients\n\nThese mean nothing here. In a file those marked *passed over* give a warning; the others are \
         errors everywhere,\nbecause passing over them would change what happens to records or secrets. A name that ends with \
         a dot stands for all\nthat begin with it.\n\n| property | | why |\n|---|---|---|\n",
    );
    for (name, fate, why) in foreign::rows() {
        let fate = if fate == Fate::Ignored { "passed over" } else { "refused" };
        let _ = writeln!(page, "| `{name}` | {fate} | {} |", cell(why));
    }
    page
}

fn row(page: &mut String, p: &Property) {
    let default = if p.default.is_empty() { String::new() } else { format!("`{}`", p.default) };
    let mut names = format!("`{}`", p.name);
    for alias in p.aliases {
        let _ = write!(names, ", `{alias}`");
    }
    let _ = writeln!(page, "| {names} | {} | {default} | {} |", cell(&p.takes()), cell(p.doc));
}

/// Text that does not end a cell of the table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
