//! The reference page says what the table says, and every property can be found on it.

use std::path::Path;

use milena::config::{properties, reference};

#[test]
fn the_reference_page_is_not_stale() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    if std::env::var_os("MILENA_RECORD").is_some() {
        std::fs::write(&path, reference()).expect("the page can be written");
    }
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    let command = "MILENA_RECORD=1 cargo test --test configuration";
    assert!(page == reference(), "docs/configuration.md is stale; make it anew with: {command}");
    for p in properties() {
        assert!(page.contains(&format!("| `{}`", p.name)), "{}", p.name);
    }
}
