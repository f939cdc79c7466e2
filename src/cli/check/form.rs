//! Forms of responses: the fields that the vendor documents for each action, with their types, and how a
//! response differs from them.

use serde_json::{Map, Value};

use crate::json::{self, Malformed};

/// Maximum number of differences that are listed.
const MAX_DIFFERENCES: usize = 20;

/// Maximum length of the name of an undocumented field that is shown.
const MAX_NAME: usize = 64;

/// A documented field.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    name: &'static str,
    kind: Kind,
    /// Whether the documentation says that the field may be null.
    may_be_null: bool,
}

/// The type of a field.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Text,
    Integer,
    Texts,
    Objects(&'static str, &'static [Field]),
}

const fn field(name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        kind,
        may_be_null: false,
    }
}

const fn nullable(name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        kind,
        may_be_null: true,
    }
}

/// The response of `GetGroupInfo`.
pub(super) const GROUP: &[Field] = &[
    field("GroupName", Kind::Text),
    field("GroupId", Kind::Text),
    field("GroupExDescriptions", Kind::Texts),
    field("Tag", Kind::Text),
    field("FaceModelVersion", Kind::Text),
    field("CreationTimestamp", Kind::Integer),
    field("RequestId", Kind::Text),
];

/// The response of `GetPersonGroupInfo`.
pub(super) const PERSON: &[Field] = &[
    field(
        "PersonGroupInfos",
        Kind::Objects("PersonGroupInfo", MEMBERSHIP),
    ),
    nullable("GroupNum", Kind::Integer),
    nullable("FaceModelVersion", Kind::Text),
    field("RequestId", Kind::Text),
];

/// An element of `PersonGroupInfos`.
const MEMBERSHIP: &[Field] = &[
    field("GroupId", Kind::Text),
    field("PersonExDescriptions", Kind::Texts),
];

/// The response of `GetPersonGroupInfo` for a person that does not exist.
pub(super) const UNKNOWN_PERSON: &[Field] = &[field("RequestId", Kind::Text)];

/// Returns how a response differs from its documented form, without values of the response. Names of
/// undocumented fields are shown if they are short words and none of `ids`.
///
/// # Errors
///
/// Fails if the response is not a JSON object.
pub(super) fn differences(
    body: &[u8],
    form: &[Field],
    ids: &[&str],
) -> Result<Vec<String>, Malformed> {
    let response: Map<String, Value> = json::parse(body)?;
    let mut found = Differences {
        list: Vec::new(),
        omitted: 0,
    };
    found.compare("", &response, form, ids);
    if found.omitted > 0 {
        let more = format!("{} more differences", found.omitted);
        found.list.push(more);
    }
    Ok(found.list)
}

struct Differences {
    list: Vec<String>,
    omitted: usize,
}

impl Differences {
    fn compare(&mut self, path: &str, object: &Map<String, Value>, form: &[Field], ids: &[&str]) {
        for Field {
            name,
            kind,
            may_be_null,
        } in form
        {
            let path = format!("{path}{name}");
            match object.get(*name) {
                None => self.note(format!("{path} is absent, documented as {}", kind.name())),
                Some(Value::Null) if *may_be_null => {}
                Some(value) => self.compare_value(&path, value, *kind, ids),
            }
        }
        for name in object.keys() {
            if form.iter().all(|field| field.name != name) {
                let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
                let is_shown = name.len() <= MAX_NAME
                    && name.bytes().all(is_word)
                    && ids.iter().all(|id| !name.contains(id));
                let name = if is_shown { name } else { "(a name not shown)" };
                self.note(format!("{path}{name} is not documented"));
            }
        }
    }

    fn compare_value(&mut self, path: &str, value: &Value, kind: Kind, ids: &[&str]) {
        match (kind, value) {
            (Kind::Text, Value::String(_)) => {}
            (Kind::Integer, Value::Number(number)) if !number.is_f64() => {}
            (Kind::Texts, Value::Array(elements)) => {
                for element in elements {
                    self.compare_value(&format!("{path}[]"), element, Kind::Text, ids);
                }
            }
            (Kind::Objects(name, form), Value::Array(elements)) => {
                for element in elements {
                    let Value::Object(object) = element else {
                        let found = type_name(element);
                        self.note(format!("{path}[] is {found}, documented as {name}"));
                        continue;
                    };
                    self.compare(&format!("{path}[]."), object, form, ids);
                }
            }
            (Kind::Text | Kind::Integer | Kind::Texts | Kind::Objects(..), other) => {
                self.note(format!(
                    "{path} is {}, documented as {}",
                    type_name(other),
                    kind.name()
                ));
            }
        }
    }

    /// Adds a difference, once: elements of an array often share one.
    fn note(&mut self, difference: String) {
        if self.list.contains(&difference) {
            return;
        }
        match self.list.len() {
            ..MAX_DIFFERENCES => self.list.push(difference),
            _ => self.omitted += 1,
        }
    }
}

impl Kind {
    /// Returns the name of the type in the vendor's documentation.
    fn name(self) -> String {
        match self {
            Self::Text => "String".to_owned(),
            Self::Integer => "Integer".to_owned(),
            Self::Texts => "Array of String".to_owned(),
            Self::Objects(name, _) => format!("Array of {name}"),
        }
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a number with a fraction",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(body: &str, form: &[Field]) -> Vec<String> {
        differences(body.as_bytes(), form, &["2001"]).unwrap()
    }

    #[test]
    fn the_forms_are_those_of_the_vendors_documentation() {
        let documents = [
            (
                include_str!("../../../tests/data/documentation/GetGroupInfo.txt"),
                GROUP,
            ),
            (
                include_str!("../../../tests/data/documentation/GetPersonGroupInfo.txt"),
                PERSON,
            ),
        ];
        for (document, form) in documents {
            let (_, output) = document.split_once("3. Output Parameters\n").unwrap();
            let (output, _) = output.split_once("4. Example\n").unwrap();
            for Field {
                name,
                kind,
                may_be_null,
            } in form
            {
                let row = format!("{name} {} ", kind.name());
                let (_, rest) = output.split_once(&row).expect(&row);
                let mut lines = rest.lines().skip(1);
                let note = lines.next().unwrap_or_default();
                let is_null = note.contains("may return null");
                assert_eq!(is_null, *may_be_null, "{name}");
            }
            let types = ["String", "Integer", "Array of"];
            let rows = output.lines().filter(|line| {
                let mut words = line.splitn(2, ' ');
                words.next();
                let rest = words.next().unwrap_or_default();
                types.iter().any(|name| rest.starts_with(name))
            });
            assert_eq!(rows.count(), form.len());
        }
    }

    #[test]
    fn differences_name_fields_and_types_but_no_values() {
        let body = r#"{"GroupNum":"1","PersonGroupInfos":[
            {"GroupId":7,"PersonExDescriptions":["Alice",null]},
            {"GroupId":8,"PersonExDescriptions":null,"Extra":"Alice"},
            "Alice"
        ],"FaceModelVersion":null,"2001":1,"Alice Smith":2}"#;

        let expected = [
            "PersonGroupInfos[].GroupId is a number, documented as String",
            "PersonGroupInfos[].PersonExDescriptions[] is null, documented as String",
            "PersonGroupInfos[].PersonExDescriptions is null, documented as Array of String",
            "PersonGroupInfos[].Extra is not documented",
            "PersonGroupInfos[] is a string, documented as PersonGroupInfo",
            "GroupNum is a string, documented as Integer",
            "RequestId is absent, documented as String",
            "(a name not shown) is not documented",
        ];
        assert_eq!(listed(body, PERSON), expected);
    }

    #[test]
    fn a_documented_response_has_no_differences_and_long_lists_are_cut() {
        let body =
            r#"{"GroupNum":null,"PersonGroupInfos":[],"FaceModelVersion":"3.0","RequestId":"r"}"#;
        assert_eq!(listed(body, PERSON), Vec::<String>::new());
        assert_eq!(listed(r#"{"RequestId":"r"}"#, UNKNOWN_PERSON).len(), 0);
        assert!(differences(b"[]", GROUP, &[]).is_err());

        let extra: Vec<_> = (0..50).map(|number| format!(r#""F{number}":1"#)).collect();
        let found = listed(
            &format!(r#"{{"RequestId":"r",{}}}"#, extra.join(",")),
            UNKNOWN_PERSON,
        );
        assert_eq!(found.len(), 21);
        assert_eq!(found[20], "30 more differences");
    }
}
