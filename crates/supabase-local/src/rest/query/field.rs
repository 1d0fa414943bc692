//! Names of columns and ways into their JSON.

use super::cursor::{Cursor, Parsed};

/// A column, perhaps with a way into its JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    pub name: String,
    pub path: Vec<Step>,
}

/// One `->` or `->>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// `->>`, whose result is text.
    pub text: bool,
    pub key: Key,
}

/// What a step goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Name(String),
    Index(i32),
}

const FIELD_NAME: &str = "field name (* or [a..z0..9_$])";

/// A name: quoted, or letters, digits, `_`, `$`, spaces and single dashes.
pub(super) fn field_name(cursor: &mut Cursor) -> Parsed<String> {
    if cursor.peek() == Some('"') {
        return cursor.quoted();
    }
    let mut name = String::new();
    loop {
        let part = cursor.take_while(is_name_char);
        if part.is_empty() {
            return Err(cursor.stop(FIELD_NAME));
        }
        name.push_str(&part);
        // A dash belongs to the name unless it begins an arrow.
        if cursor.peek() == Some('-') && !cursor.looks_at("->") {
            name.push('-');
            cursor.next();
        } else {
            break;
        }
    }
    let name = name.trim();
    if name.is_empty() { Err(cursor.stop(FIELD_NAME)) } else { Ok(name.to_owned()) }
}

/// An identifier such as the name of a type.
pub(super) fn identifier(cursor: &mut Cursor) -> Parsed<String> {
    let name = cursor.take_while(is_name_char);
    if name.trim().is_empty() {
        return Err(cursor.stop("letter or digit"));
    }
    Ok(name.trim().to_owned())
}

fn is_name_char(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | ' ' | '$')
}

pub(super) fn json_path(cursor: &mut Cursor) -> Parsed<Vec<Step>> {
    let mut path = Vec::new();
    loop {
        let text = if cursor.eat("->>") {
            true
        } else if cursor.eat("->") {
            false
        } else {
            return Ok(path);
        };
        path.push(Step { text, key: key(cursor)? });
    }
}

/// An index is digits with an end after them; `12ab` is a name.
fn key(cursor: &mut Cursor) -> Parsed<Key> {
    let start = cursor.position();
    let sign = if cursor.eat("-") { "-" } else { "" };
    let digits = cursor.take_while(|c| c.is_ascii_digit());
    let ended = matches!(cursor.peek(), None | Some('.' | ',' | ')')) || ends_with_operator(cursor);
    if let (true, Ok(index)) = (ended, format!("{sign}{digits}").parse()) {
        return Ok(Key::Index(index));
    }
    cursor.go_back_to(start);
    field_name(cursor).map(Key::Name)
}

fn ends_with_operator(cursor: &Cursor) -> bool {
    cursor.looks_at("->") || cursor.looks_at("::")
}

/// A column with its way into JSON, and spaces around it.
pub(super) fn field(cursor: &mut Cursor) -> Parsed<Field> {
    cursor.spaces();
    let field = Field { name: field_name(cursor)?, path: json_path(cursor)? };
    cursor.spaces();
    Ok(field)
}

/// Names with dots between, the last of which may have a way into JSON.
pub(super) fn tree_path(cursor: &mut Cursor) -> Parsed<(Vec<String>, Field)> {
    let mut names = vec![field_name(cursor)?];
    while cursor.eat(".") {
        names.push(field_name(cursor)?);
    }
    let path = json_path(cursor)?;
    let name = names.pop().unwrap_or_default();
    if cursor.at_end() {
        Ok((names, Field { name, path }))
    } else {
        Err(cursor.stop("\"->>\", \"->\", delimiter (.) or end of input"))
    }
}

/// Names with commas between.
pub(super) fn columns(cursor: &mut Cursor) -> Parsed<Vec<String>> {
    let mut names = Vec::new();
    loop {
        cursor.spaces();
        names.push(field_name(cursor)?);
        cursor.spaces();
        if cursor.at_end() {
            return Ok(names);
        }
        cursor.expect(",")?;
    }
}
