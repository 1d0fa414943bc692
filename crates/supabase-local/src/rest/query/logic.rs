//! Filters combined by `and` and `or`.

use super::{
    cursor::{Cursor, Parsed, Stop},
    field::field,
    filter::{Filter, element, test},
};

/// How deep groups may nest; deeper ones would recurse without a bound.
const DEPTH: usize = 32;

/// Conditions combined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Logic {
    Filter(Filter),
    Group { negate: bool, all: bool, members: Vec<Logic> },
}

/// A value within `and` or `or`: as in a list, or an array in braces.
fn logic_value(cursor: &mut Cursor) -> String {
    let start = cursor.position();
    if cursor.eat("{") {
        let inside = cursor.take_while(|c| !matches!(c, '{' | '}'));
        if cursor.eat("}") {
            return format!("{{{inside}}}");
        }
        cursor.go_back_to(start);
    }
    element(cursor)
}

/// The parameter `and`, `or`, `not.and` or `not.or` with its members in parentheses.
pub(super) fn parse_logic(all: bool, negate: bool, text: &str) -> Parsed<Logic> {
    let mut cursor = Cursor::new(text);
    let members = members(&mut cursor, 0)?;
    if cursor.at_end() {
        Ok(Logic::Group { negate, all, members })
    } else {
        Err(cursor.stop("end of input"))
    }
}

fn members(cursor: &mut Cursor, depth: usize) -> Parsed<Vec<Logic>> {
    if depth > DEPTH {
        return Err(Stop::Unsupported(format!("logic more than {DEPTH} levels deep")));
    }
    cursor.spaces();
    cursor.expect("(")?;
    cursor.spaces();
    let mut members = Vec::new();
    loop {
        members.push(member(cursor, depth)?);
        cursor.spaces();
        if cursor.eat(",") {
            cursor.spaces();
            continue;
        }
        cursor.expect(")")?;
        cursor.spaces();
        return Ok(members);
    }
}

fn member(cursor: &mut Cursor, depth: usize) -> Parsed<Logic> {
    let start = cursor.position();
    for (word, negate, all) in [
        ("not.and", true, true),
        ("not.or", true, false),
        ("and", false, true),
        ("or", false, false),
    ] {
        if cursor.eat(word) {
            cursor.spaces();
            if cursor.looks_at("(") {
                let members = members(cursor, depth + 1)?;
                return Ok(Logic::Group { negate, all, members });
            }
            cursor.go_back_to(start);
        }
    }
    let field = field(cursor)?;
    cursor.expect(".")?;
    let test = test(cursor, logic_value)?;
    Ok(Logic::Filter(Filter { field, test }))
}

#[cfg(test)]
mod tests {
    use super::{super::filter::tests::show, *};

    fn show_logic(logic: &Logic) -> String {
        match logic {
            Logic::Filter(filter) => format!("{} {}", filter.field.name, show(&filter.test)),
            Logic::Group { negate, all, members } => {
                let not = if *negate { "not " } else { "" };
                let word = if *all { "and" } else { "or" };
                let members: Vec<_> = members.iter().map(show_logic).collect();
                format!("{not}{word}({})", members.join("; "))
            }
        }
    }

    #[test]
    fn logic_is_read() {
        for (text, expected) in [
            ("(n.eq.4,and(n.gt.8,n.lt.10))", "or(n = <4>; and(n > <8>; n < <10>))"),
            (
                "(a.in.(1,2), not.or(b.is.null,c.not.eq.x))",
                "or(a in <1|2>; not or(b is null; c not = <x>))",
            ),
            ("(tags.cs.{a,b},t.eq.\"x,y)\")", "or(tags @> <{a,b}>; t = <x,y)>)"),
            ("(order.eq.1)", "or(order = <1>)"),
        ] {
            let got = parse_logic(false, false, text);
            assert_eq!(got.as_ref().map(show_logic), Ok(expected.to_owned()), "{text}");
        }
        for text in ["()", "n.eq.1", "(n.eq.1", "(n.eq.1)x", "(n)", "(n.in.1,2)"] {
            assert!(matches!(parse_logic(true, false, text), Err(Stop::Syntax { .. })), "{text}");
        }
        let deep = format!("{}n.eq.1{}", "(and".repeat(99), ")".repeat(99));
        assert!(matches!(parse_logic(true, false, &deep), Err(Stop::Unsupported(_))));
    }
}
