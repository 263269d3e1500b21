//! `milena config`: the table of properties, or what they resolve to and where each value comes from. No secret is printed.

use serde_json::json;

use super::args::{ConfigOptions, Connect};
use super::{Outcome, connect};
use crate::config::{Property, Source, Value, properties, reference};

pub(super) fn run(options: &ConfigOptions) -> Outcome {
    if options.markdown {
        print!("{}", reference());
        return Ok(());
    }
    // The environment alone is enough to have something to resolve.
    let resolved = connect::resolve(&options.connect)?;
    let is_set = |value: &Value| value.source != Source::Default;
    if is_asked_to_resolve(&options.connect) || resolved.values.iter().any(is_set) {
        let is_shown = |value: &&Value| options.all || is_set(value);
        resolved.values.iter().filter(is_shown).for_each(|value| print_value(value, options.json));
    } else {
        properties().for_each(|property| print_row(property, options.json));
    }
    Ok(())
}

fn is_asked_to_resolve(connect: &Connect) -> bool {
    connect.config.is_some() || connect.brokers.is_some() || !connect.properties.is_empty()
}

fn print_value(value: &Value, as_json: bool) {
    let (name, shown, source) = (value.property.name, &value.shown, value.source.to_string());
    if as_json {
        println!("{}", json!({ "name": name, "value": shown, "source": source }));
    } else {
        println!("{name}={shown}  # {source}");
    }
}

fn print_row(p: &Property, as_json: bool) {
    if as_json {
        let row = json!({
            "name": p.name, "aliases": p.aliases, "role": p.role.name(), "type": p.type_name(), "takes": p.allowed(),
            "default": p.default, "doc": p.doc,
        });
        println!("{row}");
        return;
    }
    let also = if p.aliases.is_empty() { String::new() } else { format!(" (also {})", p.aliases.join(", ")) };
    let default = if p.default.is_empty() { "none" } else { p.default };
    println!("{}{also}\n    {}: {}\n    takes {}; default {default}\n", p.name, p.role.name(), p.doc, p.allowed());
}
