//! Imports between modules: those of `src/` follow the order in ARCHITECTURE.md, and no files of a crate
//! import each other in a cycle.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// The heading of the table of modules, from top to bottom.
const TABLE: &str = "| modules | job | must not know |\n";

#[test]
fn modules_import_only_from_those_below_them_in_the_architecture() {
    let order = order(&fs::read_to_string("ARCHITECTURE.md").unwrap());
    let sources = Sources::new(&read(Path::new("src")));

    let mut listed: Vec<_> = order.iter().flatten().cloned().collect();
    listed.sort();
    assert_eq!(listed, sources.roots());
    assert_eq!(sources.against(&order), <[String; 0]>::default());
}

#[test]
fn no_files_import_each_other() {
    let members = fs::read_dir("crates").unwrap();
    let members = members.map(|member| member.unwrap().path().join("src"));
    for folder in members.chain([PathBuf::from("src")]) {
        let cycle = Sources::new(&read(&folder)).cycle();
        assert_eq!(cycle, None, "{}", folder.display());
    }
}

#[test]
fn an_import_against_the_order_is_found() {
    let order = order(&format!(
        "{TABLE}| --- | --- | --- |\n| `top` | | |\n| `left`, `right` | | |\n"
    ));
    for (module, text) in [
        ("left", "use crate::top::Top;"),
        (
            "left::child",
            "use std::fmt;\nuse crate::{\n    top::{self, Top},\n};",
        ),
        ("left", "use super::right;"),
        ("left", "fn f() {\n    crate::right::call()\n}"),
    ] {
        let files = [("top", ""), ("left", ""), ("right", ""), (module, text)];
        let sources = Sources::new(&texts(&files));
        assert_eq!(sources.against(&order).len(), 1, "{module}: {text}");
    }
    for (module, text) in [
        ("top", "pub(crate) use crate::left::Left;"),
        ("left::child", "use super::Left;"),
        ("left", "/// [Top](crate::top::Top)\nuse std::top;"),
        (
            "left",
            "#[cfg(test)]\nmod tests {\n    use crate::top::Top;\n}",
        ),
    ] {
        let files = [("top", ""), ("left", ""), ("right", ""), (module, text)];
        let sources = Sources::new(&texts(&files));
        assert_eq!(sources.against(&order).len(), 0, "{module}: {text}");
    }
}

#[test]
fn a_cycle_of_imports_is_found() {
    let parent = ("a", "mod b;\nmod c;\npub use self::c::Shared;\nstruct Own;");
    let leaf = ("a::c", "pub struct Shared;");
    for (text, is_cycle) in [
        ("use super::Shared;", false),
        ("use super::c::Shared;", false),
        ("pub(super) struct Other;", false),
        ("pub(in crate::a) struct Other;", false),
        ("use super::Own;", true),
        ("fn f(own: &super::Own) {}", true),
        ("use crate::a::{Own, Shared};", true),
    ] {
        let sources = Sources::new(&texts(&[parent, leaf, ("a::b", text)]));
        assert_eq!(sources.cycle().is_some(), is_cycle, "{text}");
    }
}

/// The files of a crate, by module: `upstream::cache` is `src/upstream/cache.rs`.
struct Sources(BTreeMap<String, Vec<Import>>);

/// A path that a file refers to.
struct Import {
    /// The name that the file gives it, if it is imported.
    name: Option<String>,
    /// Its segments from the root of the crate on.
    path: Vec<String>,
}

impl Sources {
    fn new(texts: &BTreeMap<String, String>) -> Self {
        let imports = |(module, text): (&String, &String)| (module.clone(), imports(module, text));
        Self(texts.iter().map(imports).collect())
    }

    /// Returns the modules at the root of the crate, sorted.
    fn roots(&self) -> Vec<String> {
        let mut roots: Vec<_> = self
            .0
            .keys()
            .map(|module| root(module).to_owned())
            .collect();
        roots.dedup();
        roots
    }

    /// Returns the imports against the order, as text.
    fn against(&self, order: &[Vec<String>]) -> Vec<String> {
        let rank = |module: &str| {
            let root = root(module).to_owned();
            order.iter().position(|row| row.contains(&root))
        };
        let mut found = Vec::new();
        for module in self.0.keys() {
            for imported in self.imported(module) {
                if root(&imported) != root(module) && rank(&imported) <= rank(module) {
                    found.push(format!("{module} imports from {imported}"));
                }
            }
        }
        found
    }

    /// Returns the modules of a cycle of imports, if there is one.
    fn cycle(&self) -> Option<Vec<String>> {
        let mut done = Vec::new();
        let mut modules = self.0.keys();
        modules.find_map(|module| self.cycle_from(module, &mut Vec::new(), &mut done))
    }

    fn cycle_from(
        &self,
        module: &str,
        path: &mut Vec<String>,
        done: &mut Vec<String>,
    ) -> Option<Vec<String>> {
        if let Some(start) = path.iter().position(|earlier| earlier == module) {
            return Some(path[start..].to_vec());
        }
        if done.iter().any(|other| other == module) {
            return None;
        }
        path.push(module.to_owned());
        for imported in self.imported(module) {
            if let Some(cycle) = self.cycle_from(&imported, path, done) {
                return Some(cycle);
            }
        }
        path.pop();
        done.push(module.to_owned());
        None
    }

    /// Returns the files that define what a file refers to.
    fn imported(&self, module: &str) -> Vec<String> {
        let imports = self.0[module].iter();
        let mut files: Vec<_> = imports
            .filter_map(|import| self.file(&import.path))
            .filter(|file| file != module)
            .collect();
        files.sort();
        files.dedup();
        files
    }

    /// Returns the file that defines an item. Follows the imports of modules that re-export it.
    fn file(&self, path: &[String]) -> Option<String> {
        let is_module = |length: &usize| self.0.contains_key(&path[..*length].join("::"));
        let length = (1..=path.len()).rev().find(is_module)?;
        let module = path[..length].join("::");
        let Some(name) = path.get(length) else {
            return Some(module);
        };
        let imports = self.0[&module].iter();
        let mut named = imports.filter(|import| import.name.as_ref() == Some(name));
        match named.next() {
            Some(import) => self.file(&import.path),
            None => Some(module),
        }
    }
}

/// Returns what a file refers to, apart from other crates and from its unit tests.
fn imports(module: &str, text: &str) -> Vec<Import> {
    let tests = "#[cfg(test)]\nmod tests {";
    let text = text.split(tests).next().unwrap();
    let is_code = |line: &&str| !line.trim_start().starts_with("//");
    let text: Vec<_> = text.lines().filter(is_code).collect();
    let mut imports = Vec::new();
    let mut statement = String::new();
    for part in text.join("\n").split_inclusive([';', '{', '}']) {
        statement.push_str(part);
        // A tree of paths has braces of its own.
        if used(&statement).is_none() || part.ends_with(';') {
            imports.extend(referred(module, &statement));
            statement.clear();
        }
    }
    imports
}

/// Returns what a statement refers to, or a part of it.
fn referred(module: &str, statement: &str) -> Vec<Import> {
    if let Some(tree) = used(statement) {
        let imports = paths(tree).into_iter().filter_map(|path| {
            let (path, alias) = path.split_once(" as ").unwrap_or((&path, ""));
            let path = absolute(module, path.trim())?;
            let name = Some(alias.to_owned()).filter(|alias| !alias.is_empty());
            let name = name.or_else(|| path.last().cloned());
            Some(Import { name, path })
        });
        return imports.collect();
    }
    // The path of a visibility is no import.
    let mut parts = statement.split("pub(in ");
    let first = parts.next().unwrap();
    let rest = parts.map(|part| part.split_once(')').unwrap().1);
    let statement = [first].into_iter().chain(rest).collect::<String>();
    let child = declared(&statement).map(|child| format!("self::{child}"));
    let is_path = |character: char| character.is_alphanumeric() || "_:".contains(character);
    let words = statement.split(|character| !is_path(character));
    words
        .filter(|word| word.contains("::"))
        .chain(child.as_deref())
        .filter_map(|word| absolute(module, word))
        .map(|path| Import { name: None, path })
        .collect()
}

/// Returns the tree of paths of a `use` declaration.
fn used(statement: &str) -> Option<&str> {
    let tree = without_visibility(statement).strip_prefix("use ")?;
    Some(tree.trim_end_matches(';'))
}

/// Returns the name of a child module that has a file and is no test.
fn declared(statement: &str) -> Option<&str> {
    let name = without_visibility(statement).strip_prefix("mod ")?;
    name.strip_suffix(';').filter(|name| *name != "tests")
}

fn without_visibility(statement: &str) -> &str {
    let statement = statement.trim_start();
    let Some(rest) = statement.strip_prefix("pub") else {
        return statement;
    };
    match rest.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
        Some((_, rest)) => rest.trim_start(),
        None => rest.trim_start(),
    }
}

/// Returns the paths in a tree such as `a::{b, c::{self, d}}`.
fn paths(tree: &str) -> Vec<String> {
    let Some((prefix, list)) = tree.split_once('{') else {
        return vec![tree.trim().to_owned()];
    };
    let list = list.trim_end().trim_end_matches('}');
    let mut depth = 0;
    let is_end = |character: char| {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        character == ',' && depth == 0
    };
    let branches = list.split(is_end).map(str::trim);
    let branches = branches.filter(|branch| !branch.is_empty());
    let paths = branches.flat_map(paths);
    let prefix = prefix.trim();
    paths.map(|path| format!("{prefix}{path}")).collect()
}

/// Returns the segments of a path from the root of the crate on, or `None` for other crates.
fn absolute(module: &str, path: &str) -> Option<Vec<String>> {
    let mut segments: Vec<_> = path.split("::").map(str::to_owned).collect();
    if segments.len() > 1 && segments.last().is_some_and(|last| last == "self") {
        segments.pop();
    }
    let mut start: Vec<_> = module.split("::").map(str::to_owned).collect();
    let place = segments
        .iter()
        .take_while(|segment| *segment == "super")
        .count();
    match segments[0].as_str() {
        "crate" => start.clear(),
        "self" => {}
        "super" => start.truncate(start.len().saturating_sub(place)),
        _ => return None,
    }
    let rest = segments.into_iter().skip(place.max(1));
    Some(start.into_iter().chain(rest).collect())
}

/// Returns the rows of the table of modules, from top to bottom.
fn order(architecture: &str) -> Vec<Vec<String>> {
    let (_, rows) = architecture.split_once(TABLE).unwrap();
    let rows = rows.lines().skip(1).take_while(|row| row.starts_with('|'));
    rows.map(|row| {
        let modules = row.split('|').nth(1).unwrap();
        let names = modules.split('`').skip(1).step_by(2);
        names.map(str::to_owned).collect()
    })
    .collect()
}

fn root(module: &str) -> &str {
    module.split("::").next().unwrap()
}

fn texts(files: &[(&str, &str)]) -> BTreeMap<String, String> {
    let files = files.iter();
    files
        .map(|(module, text)| ((*module).to_owned(), (*text).to_owned()))
        .collect()
}

/// Returns the texts of a crate's sources by module, without the roots of the library and the program,
/// and without tests.
fn read(sources: &Path) -> BTreeMap<String, String> {
    let mut folders = vec![sources.to_owned()];
    let mut texts = BTreeMap::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap();
            if path.is_dir() {
                if name != "tests" {
                    folders.push(path);
                }
            } else if path.extension() == Some("rs".as_ref())
                && !["lib", "main", "tests"].contains(&name)
            {
                let module = path.strip_prefix(sources).unwrap().with_extension("");
                let module = module.to_str().unwrap().replace('/', "::");
                texts.insert(module, fs::read_to_string(path).unwrap());
            }
        }
    }
    texts
}
