//! The parameter `order`.

use super::{
    cursor::{Cursor, Parsed},
    field::{Field, field, field_name},
};

/// One column to sort by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    /// The embedded resource whose column it is.
    pub relation: Option<String>,
    pub field: Field,
    pub descending: Option<bool>,
    pub nulls_first: Option<bool>,
}

pub(super) fn parse(text: &str) -> Parsed<Vec<Order>> {
    let mut cursor = Cursor::new(text);
    let mut terms = Vec::new();
    loop {
        cursor.spaces();
        terms.push(term(&mut cursor)?);
        cursor.spaces();
        if cursor.at_end() {
            return Ok(terms);
        }
        cursor.expect(",")?;
    }
}

fn term(cursor: &mut Cursor) -> Parsed<Order> {
    let start = cursor.position();
    let relation = field_name(cursor)?;
    let (relation, field) = if cursor.eat("(") {
        let inside = field(cursor)?;
        cursor.expect(")")?;
        (Some(relation), inside)
    } else {
        cursor.go_back_to(start);
        (None, field(cursor)?)
    };
    let (mut descending, mut nulls_first) = (None, None);
    if cursor.looks_at(".asc") || cursor.looks_at(".desc") {
        descending = Some(cursor.eat(".desc"));
        if descending == Some(false) {
            cursor.eat(".asc");
        }
    }
    if cursor.looks_at(".nullsfirst") || cursor.looks_at(".nullslast") {
        nulls_first = Some(cursor.eat(".nullsfirst"));
        if nulls_first == Some(false) {
            cursor.eat(".nullslast");
        }
    }
    if matches!(cursor.peek(), None | Some(',' | ' ' | '\t')) {
        return Ok(Order { relation, field, descending, nulls_first });
    }
    let nulls = "\"nullsfirst\" or \"nullslast\"";
    let expecting = match (cursor.eat("."), descending, nulls_first) {
        (true, None, None) => format!("\"asc\", \"desc\", {nulls}"),
        (true, Some(_), None) => nulls.to_owned(),
        (false, _, None) => "delimiter (.), \",\" or end of input".to_owned(),
        (_, _, Some(_)) => "\",\" or end of input".to_owned(),
    };
    Err(cursor.stop(&expecting))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_read() {
        let show = |terms: Vec<Order>| {
            let show = |o: &Order| {
                let relation = o.relation.as_ref().map(|r| format!("{r}/")).unwrap_or_default();
                let path = if o.field.path.is_empty() { "" } else { "+" };
                let descending = o.descending.map_or("", |d| if d { " desc" } else { " asc" });
                let nulls = o.nulls_first.map_or("", |n| if n { " first" } else { " last" });
                format!("{relation}{}{path}{descending}{nulls}", o.field.name)
            };
            terms.iter().map(show).collect::<Vec<_>>().join(", ")
        };
        for (text, expected) in [
            ("n", "n"),
            ("sev.desc,n.asc.nullslast", "sev desc, n asc last"),
            ("n.nullsfirst", "n first"),
            ("meta->a->>b.desc", "meta+ desc"),
            ("clients(name).desc", "clients/name desc"),
            ("a, b.desc", "a, b desc"),
        ] {
            assert_eq!(parse(text).map(show), Ok(expected.to_owned()), "{text}");
        }
        for (text, words) in [
            ("id.ac", "asc"),
            ("id.descc", "delimiter"),
            ("id.asc.nlsfst", "nullsfirst"),
            ("id.asc.nullslasttt", "end of input"),
            ("", "field name"),
            ("a,,b", "field name"),
            ("n;drop table x", "delimiter"),
        ] {
            let error = format!("{:?}", parse(text).unwrap_err());
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
