//! Columns and conditions in SQL.

use super::{
    super::{
        cache::Table,
        query::{Field, Filter, Key, Logic, Operation, Test},
        quote::{array, literal},
    },
    column,
};

/// A column, with the way into its JSON.
///
/// Columns that are not JSON are turned into it for the way, but those that are stay as they are,
/// so that indexes on the same expression apply.
pub(super) fn field(qualifier: &str, table: Option<&Table>, field: &Field) -> String {
    let base = column(qualifier, &field.name);
    if field.path.is_empty() {
        return base;
    }
    let type_name = table.and_then(|table| table.column(&field.name)).map(|c| c.type_name.as_str());
    let mut sql = match type_name {
        Some("json" | "jsonb") => base,
        _ => format!("to_jsonb({base})"),
    };
    for step in &field.path {
        sql.push_str(if step.text { "->>" } else { "->" });
        match &step.key {
            Key::Name(key) => sql.push_str(&literal(key)),
            Key::Index(index) => sql.push_str(&format!("({index})")),
        }
    }
    sql
}

/// The name under which a way into JSON comes out: its last name, else the column's.
pub(super) fn field_label(field: &Field) -> Option<&str> {
    field.path.last()?;
    let last = field.path.iter().rev().find_map(|step| match &step.key {
        Key::Name(name) => Some(name.as_str()),
        Key::Index(_) => None,
    });
    Some(last.unwrap_or(&field.name))
}

/// A condition on an expression.
pub(super) fn test(expression: &str, test: &Test) -> String {
    let not = if test.negate { "not " } else { "" };
    let condition = match &test.operation {
        Operation::Compare { operator, value } => format!("{operator} {}", literal(value)),
        Operation::Like { operator, value } => {
            format!("{operator} {}", literal(&value.replace('*', "%")))
        }
        Operation::Quantified { operator, all, value } => {
            let word = if *all { "all" } else { "any" };
            format!("{operator} {word} ({})", literal(value))
        }
        // A list of one empty text is how an empty list is written.
        Operation::In(values) if values.iter().all(String::is_empty) && values.len() == 1 => {
            "= any ('{}')".to_owned()
        }
        Operation::In(values) => format!("= any ({})", array(values)),
        Operation::Is(word) => format!("is {word}"),
        Operation::IsDistinct(value) => format!("is distinct from {}", literal(value)),
    };
    format!("{not}{expression} {condition}")
}

/// Conditions combined; `leaf` writes a single one.
pub(super) fn logic<E>(
    logic_: &Logic,
    leaf: &mut impl FnMut(&Filter) -> Result<String, E>,
) -> Result<String, E> {
    match logic_ {
        Logic::Filter(filter) => leaf(filter),
        Logic::Group { negate, all, members } => {
            let parts =
                members.iter().map(|member| logic(member, leaf)).collect::<Result<Vec<_>, _>>()?;
            let not = if *negate { "not " } else { "" };
            Ok(format!("{not}({})", parts.join(if *all { " and " } else { " or " })))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::super::query::Query, *};

    #[test]
    fn conditions_are_written() {
        for (raw, expected) in [
            ("n=eq.1", r#""t"."n" = '1'"#),
            ("n=not.in.(1,2)", r#"not "t"."n" = any ('{"1","2"}')"#),
            ("n=in.()", r#""t"."n" = any ('{}')"#),
            ("n=is.null", r#""t"."n" is null"#),
            ("n=like.a*'", r#""t"."n" like 'a%'''"#),
            ("n=isdistinct.1", r#""t"."n" is distinct from '1'"#),
            ("a-%3Eb-%3E%3E0=eq.x", r#"to_jsonb("t"."a")->'b'->>(0) = 'x'"#),
            (
                "or=(a.eq.1,not.and(b.is.true,c.gt.2))",
                r#"("t"."a" = '1' or not ("t"."b" is true and "t"."c" > '2'))"#,
            ),
            ("\"a\\\"; drop\"=eq.1", r#""t"."a""; drop" = '1'"#),
        ] {
            let query = Query::parse(raw, false).unwrap();
            let (_, first) = query.filters.first().unwrap();
            let sql = logic(first, &mut |filter: &Filter| {
                Ok::<_, ()>(test(&field("\"t\"", None, &filter.field), &filter.test))
            });
            assert_eq!(sql.unwrap(), expected, "{raw}");
        }
    }
}
