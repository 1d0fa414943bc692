//! Filters on columns, and their combination by `and` and `or`.

use super::{
    cursor::{Cursor, Parsed, Stop},
    field::{Field, field},
};

/// How deep `and` and `or` may nest; deeper ones would recurse without a bound.
const DEPTH: usize = 32;

/// A condition on one column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    pub field: Field,
    pub test: Test,
}

/// An operator with its value, perhaps negated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Test {
    pub negate: bool,
    pub operation: Operation,
}

/// What a column is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// An SQL operator and a value.
    Compare {
        operator: &'static str,
        value: String,
    },
    /// `like` and `ilike`, in which `*` stands for `%`.
    Like {
        operator: &'static str,
        value: String,
    },
    /// `any` or `all` of an array.
    Quantified {
        operator: &'static str,
        all: bool,
        value: String,
    },
    In(Vec<String>),
    /// The SQL word after `is`.
    Is(&'static str),
    IsDistinct(String),
}

/// Conditions combined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Logic {
    Filter(Filter),
    Group { negate: bool, all: bool, members: Vec<Logic> },
}

/// The names of operators with what they are in SQL.
const OPERATORS: [(&str, &str); 18] = [
    ("eq", "="),
    ("neq", "<>"),
    ("gte", ">="),
    ("gt", ">"),
    ("lte", "<="),
    ("lt", "<"),
    ("like", "like"),
    ("ilike", "ilike"),
    ("match", "~"),
    ("imatch", "~*"),
    ("cs", "@>"),
    ("cd", "<@"),
    ("ov", "&&"),
    ("sl", "<<"),
    ("sr", ">>"),
    ("nxr", "&<"),
    ("nxl", "&>"),
    ("adj", "-|-"),
];

const TEXT_SEARCH: [&str; 4] = ["fts", "plfts", "phfts", "wfts"];

const EXPECTED: &str = "\"not\" or operator (eq, gt, ...)";

fn operator(name: &str) -> Option<&'static str> {
    OPERATORS.iter().find(|(known, _)| *known == name).map(|(_, sql)| *sql)
}

/// Whether a parameter's value looks like a filter; in a function call what does not is an argument.
pub(super) fn is_filter(value: &str) -> bool {
    let (first, more) = match value.split_once('.') {
        Some((first, more)) => (first, !more.is_empty() || first != "not"),
        None => return false,
    };
    let base = first.split_once('(').map_or(first, |(base, _)| base);
    match base {
        "not" => more,
        "is" | "in" | "isdistinct" => true,
        name => operator(name).is_some() || TEXT_SEARCH.contains(&name),
    }
}

/// The value of a filter parameter, such as `not.eq.5`.
pub(super) fn parse_test(text: &str) -> Parsed<Test> {
    let mut cursor = Cursor::new(text);
    let test = test(&mut cursor, Cursor::rest)?;
    if cursor.at_end() { Ok(test) } else { Err(cursor.stop("end of input")) }
}

fn test(cursor: &mut Cursor, value: impl Fn(&mut Cursor) -> String) -> Parsed<Test> {
    let negate = cursor.eat("not.");
    let operation = operation(cursor, value)?;
    Ok(Test { negate, operation })
}

fn operation(cursor: &mut Cursor, value: impl Fn(&mut Cursor) -> String) -> Parsed<Operation> {
    let start = cursor.position();
    let name = cursor.take_while(|c| c.is_ascii_alphabetic());
    let quantifier = match cursor.peek() {
        Some('(') => {
            cursor.eat("(");
            let inside = cursor.take_while(|c| c != ')');
            cursor.expect(")")?;
            Some(inside)
        }
        _ => None,
    };
    if TEXT_SEARCH.contains(&name.as_str()) {
        return Err(Stop::Unsupported(format!("full-text search ({name})")));
    }
    let known = matches!(name.as_str(), "in" | "is" | "isdistinct") || operator(&name).is_some();
    if !known || !cursor.eat(".") {
        cursor.go_back_to(start);
        return Err(cursor.stop(EXPECTED));
    }
    match (name.as_str(), quantifier.as_deref()) {
        ("in", None) => list(cursor).map(Operation::In),
        ("is", None) => is(cursor).map(Operation::Is),
        ("isdistinct", None) => Ok(Operation::IsDistinct(value(cursor))),
        (name, quantifier) => {
            let Some(operator) = operator(name) else {
                cursor.go_back_to(start);
                return Err(cursor.stop(EXPECTED));
            };
            match quantifier {
                None if matches!(name, "like" | "ilike") => {
                    Ok(Operation::Like { operator, value: value(cursor) })
                }
                None => Ok(Operation::Compare { operator, value: value(cursor) }),
                Some(word @ ("any" | "all")) if can_quantify(name) => {
                    let mut value = value(cursor);
                    if matches!(name, "like" | "ilike") {
                        value = value.replace('*', "%");
                    }
                    Ok(Operation::Quantified { operator, all: word == "all", value })
                }
                Some(_) => {
                    cursor.go_back_to(start);
                    Err(cursor.stop(EXPECTED))
                }
            }
        }
    }
}

fn can_quantify(name: &str) -> bool {
    matches!(name, "eq" | "gte" | "gt" | "lte" | "lt" | "like" | "ilike" | "match" | "imatch")
}

/// The words after `is`, in any case.
fn is(cursor: &mut Cursor) -> Parsed<&'static str> {
    let start = cursor.position();
    let word = cursor.take_while(|c| c.is_ascii_alphabetic() || c == '_');
    match word.to_ascii_lowercase().as_str() {
        "null" => Ok("null"),
        "not_null" => Ok("not null"),
        "true" => Ok("true"),
        "false" => Ok("false"),
        "unknown" => Ok("unknown"),
        _ => {
            cursor.go_back_to(start);
            Err(cursor.stop("isVal: (null, not_null, true, false, unknown)"))
        }
    }
}

/// `(a,b,"c,d")`.
fn list(cursor: &mut Cursor) -> Parsed<Vec<String>> {
    cursor.spaces();
    cursor.expect("(")?;
    cursor.spaces();
    let mut values = Vec::new();
    loop {
        values.push(element(cursor));
        if cursor.eat(",") {
            continue;
        }
        cursor.spaces();
        cursor.expect(")")?;
        cursor.spaces();
        return Ok(values);
    }
}

/// A quoted text that ends where the element ends, else everything up to `,` or `)`.
fn element(cursor: &mut Cursor) -> String {
    let start = cursor.position();
    if cursor.peek() == Some('"')
        && let Ok(text) = cursor.quoted()
        && matches!(cursor.peek(), None | Some(',' | ')'))
    {
        return text;
    }
    cursor.go_back_to(start);
    cursor.take_while(|c| !matches!(c, ',' | ')'))
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
    use super::*;

    fn show(test: &Test) -> String {
        let not = if test.negate { "not " } else { "" };
        match &test.operation {
            Operation::Compare { operator, value } | Operation::Like { operator, value } => {
                format!("{not}{operator} <{value}>")
            }
            Operation::Quantified { operator, all, value } => {
                format!("{not}{operator} {} <{value}>", if *all { "all" } else { "any" })
            }
            Operation::In(values) => format!("{not}in <{}>", values.join("|")),
            Operation::Is(word) => format!("{not}is {word}"),
            Operation::IsDistinct(value) => format!("{not}distinct <{value}>"),
        }
    }

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
    fn filters_are_read() {
        for (text, expected) in [
            ("eq.5", "= <5>"),
            ("eq.", "= <>"),
            ("not.eq.a.b,c", "not = <a.b,c>"),
            ("in.(1,\"a,b\",c d)", "in <1|a,b|c d>"),
            ("in.()", "in <>"),
            ("in.(\"a\"b)", "in <\"a\"b>"),
            ("is.NULL", "is null"),
            ("not.is.null", "not is null"),
            ("is.not_null", "is not null"),
            ("like.a*", "like <a*>"),
            ("like(any).{a*,b}", "like any <{a%,b}>"),
            ("eq(all).{1}", "= all <{1}>"),
            ("isdistinct.5", "distinct <5>"),
            ("cs.{x}", "@> <{x}>"),
            ("adj.(1,2)", "-|- <(1,2)>"),
        ] {
            assert_eq!(parse_test(text).as_ref().map(show), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn bad_filters_say_where() {
        for (text, at, words) in [
            ("foo.1", 0, "unexpected \"f\" expecting \"not\" or operator (eq, gt, ...)"),
            ("", 0, "unexpected end of input"),
            ("eq", 0, "unexpected \"e\""),
            ("is.maybe", 3, "unexpected \"m\" expecting isVal"),
            ("in.1", 3, "unexpected \"1\" expecting \"(\""),
            ("in.(1", 5, "unexpected end of input expecting \")\""),
            ("cs(any).1", 0, "operator"),
            ("eq(some).1", 0, "operator"),
        ] {
            match parse_test(text) {
                Err(Stop::Syntax { at: found, details }) => {
                    assert_eq!(found, at, "{text}");
                    assert!(details.contains(words), "{text}: {details}");
                }
                other => panic!("{text}: {other:?}"),
            }
        }
        assert!(matches!(parse_test("fts(english).a"), Err(Stop::Unsupported(_))));
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

    #[test]
    fn arguments_are_told_from_filters() {
        for (value, expected) in [
            ("eq.1", true),
            ("not.eq.1", true),
            ("is.null", true),
            ("in.(1)", true),
            ("fts(english).x", true),
            ("like(any).{a}", true),
            ("1", false),
            ("hello.world", false),
            ("not", false),
            ("", false),
        ] {
            assert_eq!(is_filter(value), expected, "{value}");
        }
    }
}
