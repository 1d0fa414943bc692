//! The parameter `select`.

use super::{
    cursor::{Cursor, Parsed, Stop},
    field::{Field, field_name, identifier, json_path},
};

/// How deep embedded resources may nest; deeper ones would recurse without a bound.
const DEPTH: usize = 16;

/// One entry of `select`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// `*`.
    All,
    Column {
        field: Field,
        cast: Option<String>,
        alias: Option<String>,
    },
    Embed(Embed),
}

/// A related resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Embed {
    pub name: String,
    pub alias: Option<String>,
    /// What tells apart several relationships: a constraint, a column, or a junction table.
    pub hint: Option<String>,
    /// Rows without a related one are left out.
    pub inner: bool,
    pub items: Vec<Item>,
}

pub(super) fn parse(text: &str) -> Parsed<Vec<Item>> {
    let mut cursor = Cursor::new(text);
    let items = forest(&mut cursor, 0)?;
    if cursor.at_end() { Ok(items) } else { Err(cursor.stop("\",\" or end of input")) }
}

fn forest(cursor: &mut Cursor, depth: usize) -> Parsed<Vec<Item>> {
    if depth > DEPTH {
        return Err(Stop::Unsupported(format!("embedding more than {DEPTH} levels deep")));
    }
    let mut items = Vec::new();
    loop {
        cursor.spaces();
        items.push(item(cursor, depth)?);
        cursor.spaces();
        if !cursor.eat(",") {
            return Ok(items);
        }
    }
}

fn item(cursor: &mut Cursor, depth: usize) -> Parsed<Item> {
    if cursor.eat("...") {
        return Err(Stop::Unsupported("spreading an embedded resource (...)".to_owned()));
    }
    if cursor.eat("*") {
        return Ok(Item::All);
    }
    let alias = alias(cursor);
    let name = field_name(cursor)?;
    let (hint, inner) = embed_parameters(cursor)?;
    if cursor.eat("(") {
        if name == "count" && cursor.looks_at(")") {
            return Err(Stop::Aggregate);
        }
        // An empty list joins without showing anything.
        let items = if cursor.looks_at(")") { Vec::new() } else { forest(cursor, depth + 1)? };
        cursor.expect(")")?;
        return Ok(Item::Embed(Embed { name, alias, hint, inner, items }));
    }
    if hint.is_some() || inner {
        return Err(cursor.stop("\"(\""));
    }
    let path = json_path(cursor)?;
    let cast = if cursor.eat("::") { Some(identifier(cursor)?) } else { None };
    if cursor.peek() == Some('.') {
        return Err(Stop::Aggregate);
    }
    cursor.spaces();
    if !matches!(cursor.peek(), None | Some(',' | ')')) {
        return Err(cursor
            .stop("letter, digit, \"-\", \"->>\", \"->\", \"::\", \")\", \",\" or end of input"));
    }
    Ok(Item::Column { field: Field { name, path }, cast, alias })
}

/// `alias:`, but not the `::` of a cast.
fn alias(cursor: &mut Cursor) -> Option<String> {
    let start = cursor.position();
    if let Ok(name) = field_name(cursor)
        && cursor.looks_at(":")
        && !cursor.looks_at("::")
    {
        cursor.eat(":");
        return Some(name);
    }
    cursor.go_back_to(start);
    None
}

fn embed_parameters(cursor: &mut Cursor) -> Parsed<(Option<String>, bool)> {
    let (mut hint, mut inner) = (None, false);
    while cursor.eat("!") {
        match field_name(cursor)?.as_str() {
            "inner" => inner = true,
            "left" => {}
            name => hint = Some(name.to_owned()),
        }
    }
    Ok((hint, inner))
}

#[cfg(test)]
mod tests {
    use super::{
        super::field::{Key, Step},
        *,
    };

    fn show(items: &[Item]) -> String {
        items.iter().map(show_item).collect::<Vec<_>>().join(" ")
    }

    fn show_item(item: &Item) -> String {
        match item {
            Item::All => "*".to_owned(),
            Item::Column { field, cast, alias } => {
                let path: String = field.path.iter().map(show_step).collect();
                let alias = alias.as_ref().map(|a| format!("{a}=")).unwrap_or_default();
                let cast = cast.as_ref().map(|c| format!("::{c}")).unwrap_or_default();
                format!("{alias}<{}{path}>{cast}", field.name)
            }
            Item::Embed(embed) => {
                let alias = embed.alias.as_ref().map(|a| format!("{a}=")).unwrap_or_default();
                let hint = embed.hint.as_ref().map(|h| format!("!{h}")).unwrap_or_default();
                let inner = if embed.inner { "!inner" } else { "" };
                format!("{alias}{}{hint}{inner}({})", embed.name, show(&embed.items))
            }
        }
    }

    fn show_step(step: &Step) -> String {
        let arrow = if step.text { ">>" } else { ">" };
        match &step.key {
            Key::Name(name) => format!("{arrow}{name}"),
            Key::Index(index) => format!("{arrow}#{index}"),
        }
    }

    #[test]
    fn lists_are_read() {
        for (text, expected) in [
            ("*", "*"),
            (
                "id,number:n,meta->a,first:meta->a->>0",
                "<id> number=<n> <meta>a> first=<meta>a>>#0>",
            ),
            ("id , n::text", "<id> <n>::text"),
            ("a:b::int", "a=<b>::int"),
            ("error-type,\"odd, name\"", "<error-type> <odd, name>"),
            ("*,clients(*,nested(id))", "* clients(* nested(<id>))"),
            ("c:clients!fk_name!inner(id)", "c=clients!fk_name!inner(<id>)"),
            ("data->-1->>key", "<data>#-1>>key>"),
            ("data->>78xy", "<data>>78xy>"),
            ("rel()", "rel()"),
        ] {
            assert_eq!(parse(text).as_deref().map(show), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_not_served_is_said() {
        for (text, expected) in [
            ("...clients(*)", "spreading"),
            ("count()", "Aggregate"),
            ("n.sum()", "Aggregate"),
            ("n::", "letter or digit"),
            ("n!hint", "\\\"(\\\""),
            ("a,,b", "field name"),
            ("a(", "field name"),
            ("a(b", "end of input"),
            ("a)", "end of input"),
            ("'", "field name"),
            ("a;drop", "end of input"),
        ] {
            let error = format!("{:?}", parse(text).unwrap_err());
            assert!(error.contains(expected), "{text}: {error}");
        }
        let deep = format!("{}id{}", "a(".repeat(40), ")".repeat(40));
        assert!(matches!(parse(&deep), Err(Stop::Unsupported(_))));
    }
}
