//! The Chinese README has the structure, commands and links of the English one.

use std::fs;

use super::markdown::{links, split};

const ENGLISH: &str = "README.md";
const CHINESE: &str = "README.zh-CN.md";

#[test]
fn both_readmes_link_each_other_in_their_first_lines() {
    for (document, other) in [(ENGLISH, CHINESE), (CHINESE, ENGLISH)] {
        let text = fs::read_to_string(document).unwrap();
        let first: Vec<&str> = text.lines().take(3).collect();
        assert_eq!(links(&first.join("\n")), [other], "{document}");
    }
}

#[test]
fn both_readmes_have_the_same_structure() {
    let [english, chinese] = [ENGLISH, CHINESE].map(|document| structure(&prose(document)));
    assert!(english.len() > 40);
    assert_eq!(english, chinese);
}

#[test]
fn both_readmes_have_the_same_code_blocks() {
    let [english, chinese] = [ENGLISH, CHINESE].map(|document| {
        let (_, blocks) = split(&fs::read_to_string(document).unwrap());
        let blocks = blocks.into_iter().map(|block| {
            // Of diagrams, the labels are translated.
            let text = match &*block.language {
                "mermaid" => block.text.replace(|each| !"-.>\n".contains(each), ""),
                _ => block.text,
            };
            (block.language, text)
        });
        blocks.collect::<Vec<_>>()
    });
    assert!(english.len() > 5);
    assert_eq!(english, chinese);
}

#[test]
fn both_readmes_have_the_same_links() {
    let [english, chinese] = [ENGLISH, CHINESE].map(|document| {
        let mut links = links(&prose(document));
        // The first one is the other README.
        links.remove(0);
        // The order within a sentence may differ.
        links.sort();
        links
    });
    assert!(english.len() > 20);
    assert_eq!(english, chinese);
}

#[test]
fn the_chinese_readme_is_translated() {
    let is_chinese = |text: &str| {
        text.chars()
            .any(|each| ('\u{4e00}'..='\u{9fff}').contains(&each))
    };
    let text = prose(CHINESE);
    for line in text.lines() {
        let is_prose = line.starts_with(['|', '-']) || line.starts_with("## ");
        let is_rule = line.contains("---");
        assert!(!is_prose || is_rule || is_chinese(line), "{line}");
    }
    for line in prose(ENGLISH).lines().skip(3) {
        assert!(!is_chinese(line), "{line}");
    }
}

fn prose(document: &str) -> String {
    split(&fs::read_to_string(document).unwrap()).0
}

/// Returns the kind of each line that is a heading, an item of a list or a row of a table, and the number
/// of cells of a row. Code in cells is code in both languages.
fn structure(prose: &str) -> Vec<(String, usize, Vec<String>)> {
    let kinds = prose.lines().filter_map(|line| {
        let kind = line.split(' ').next()?;
        let is_structure = kind.starts_with('#') || ["|", "-"].contains(&kind);
        let code = line.split('`').skip(1).step_by(2).map(str::to_owned);
        is_structure.then(|| (kind.to_owned(), line.matches('|').count(), code.collect()))
    });
    kinds.collect()
}
