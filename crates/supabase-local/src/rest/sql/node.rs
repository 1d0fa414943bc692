//! Reading a resource with what is embedded in it.

use super::{
    super::{
        cache::{Cache, Relation, Table},
        embed::find_relation,
        error::ApiError,
        query::{Embed, Field, Filter, Item, Logic, Operation, Order, Query},
        quote::{name, qualified},
        range::Range,
    },
    column,
    condition::{self, field_label},
    of,
};

/// Where the outermost resource is read from.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Root<'a> {
    pub cache: &'a Cache,
    pub query: &'a Query,
    pub schema: &'a str,
    /// The name of the table, or of the function when it returns no table's rows.
    pub name: &'a str,
    pub table: Option<&'a Table>,
    /// Read from the common table expression and not from the table itself.
    pub from_source: bool,
    /// Whether the conditions apply here; for a write they apply to the write.
    pub filtered: bool,
    pub range: Range,
    pub max_rows: Option<u64>,
}

/// A resource to read.
#[derive(Debug)]
pub(in super::super) struct Node<'a> {
    table: Option<&'a Table>,
    from: String,
    qualifier: String,
    columns: Vec<&'a Item>,
    filters: Vec<&'a Logic>,
    order: Vec<&'a Order>,
    range: Range,
    joins: Vec<String>,
    children: Vec<Child<'a>>,
}

#[derive(Debug)]
struct Child<'a> {
    node: Node<'a>,
    relation: &'a Relation,
    embed: &'a Embed,
    /// The name of the joined result, unique within the statement.
    result: String,
}

impl Child<'_> {
    fn label(&self) -> &str {
        self.embed.alias.as_deref().unwrap_or(&self.embed.name)
    }

    /// An embed without columns only joins.
    fn shown(&self) -> bool {
        !self.embed.items.is_empty()
    }
}

impl<'a> Node<'a> {
    /// Plans the whole tree.
    pub(in super::super) fn plan(root: &Root<'a>) -> Result<Self, ApiError> {
        let (from, qualifier) = if root.from_source {
            (super::SOURCE.to_owned(), name(super::SOURCE))
        } else {
            let table = qualified(root.schema, root.name);
            (table.clone(), table)
        };
        let mut node = Self {
            table: root.table,
            from,
            qualifier,
            columns: Vec::new(),
            filters: Vec::new(),
            order: Vec::new(),
            range: root.range.capped(root.max_rows),
            joins: Vec::new(),
            children: Vec::new(),
        };
        let mut above = Vec::new();
        if !root.from_source {
            above.push((root.schema.to_owned(), root.name.to_owned()));
        }
        let query = root.query;
        node.fill(root, (root.schema, root.name), &query.select, &mut above)?;
        for (path, logic) in &query.filters {
            if !path.is_empty() || root.filtered {
                node.find(path)?.filters.push(logic);
            }
        }
        for (path, terms) in &query.order {
            node.find(path)?.order.extend(terms);
        }
        for (path, range) in query.ranges.iter().filter(|(path, _)| !path.is_empty()) {
            node.find(path)?.range = range.capped(root.max_rows);
        }
        Ok(node)
    }

    /// Splits the entries of `select` into columns and embedded resources.
    fn fill(
        &mut self,
        root: &Root<'a>,
        here: (&str, &str),
        items: &'a [Item],
        above: &mut Vec<(String, String)>,
    ) -> Result<(), ApiError> {
        for item in items {
            let Item::Embed(embed) = item else {
                self.columns.push(item);
                continue;
            };
            let relation = find_relation(root.cache, here.0, here.1, embed)?;
            let target = root.cache.tables.get(&relation.target);
            let table = of(&relation.target);
            // The same table above would make its name ambiguous in the join condition.
            let (from, qualifier) = if above.contains(&relation.target) {
                let alias = name(&format!("{}_{}", relation.target.1, above.len()));
                (format!("{table} as {alias}"), alias)
            } else {
                (table.clone(), table)
            };
            let (from, joins) = join(relation, &self.qualifier, from, &qualifier);
            let mut node = Self {
                table: target,
                from,
                qualifier,
                columns: Vec::new(),
                filters: Vec::new(),
                order: Vec::new(),
                range: Range::default().capped(root.max_rows),
                joins,
                children: Vec::new(),
            };
            let label = embed.alias.as_deref().unwrap_or(&embed.name);
            let result = format!("{}_{label}_{}", here.1, above.len());
            above.push(relation.target.clone());
            let there = (relation.target.0.as_str(), relation.target.1.as_str());
            node.fill(root, there, &embed.items, above)?;
            above.pop();
            self.children.push(Child { node, relation, embed, result });
        }
        Ok(())
    }

    fn find(&mut self, path: &[String]) -> Result<&mut Self, ApiError> {
        let mut node = self;
        for wanted in path {
            let found = node
                .children
                .iter_mut()
                .find(|child| child.label() == wanted || child.embed.name == *wanted);
            node = match found {
                Some(child) => &mut child.node,
                None => {
                    let hint = format!(
                        "Verify that '{wanted}' is included in the 'select' query parameter."
                    );
                    let message = format!("'{wanted}' is not an embedded resource in this request");
                    return Err(ApiError::new(400, "PGRST108", message).hint(Some(hint)));
                }
            };
        }
        Ok(node)
    }

    /// The columns of this resource that its `select` and the joins need; for `returning`.
    pub(in super::super) fn needed_columns(&self) -> Vec<String> {
        let mut needed: Vec<String> = Vec::new();
        for item in &self.columns {
            match item {
                Item::All => return vec!["*".to_owned()],
                Item::Column { field, .. } => needed.push(field.name.clone()),
                Item::Embed(_) => {}
            }
        }
        for child in &self.children {
            let own =
                child.relation.junction.as_ref().map_or(&child.relation.columns, |j| &j.from_here);
            needed.extend(own.iter().map(|(here, _)| here.clone()));
        }
        let mut seen = std::collections::BTreeSet::new();
        needed.retain(|column| seen.insert(column.clone()));
        needed
    }

    /// The statement that reads the rows.
    pub(in super::super) fn select(&self) -> Result<String, ApiError> {
        let mut list: Vec<String> = self.columns.iter().map(|item| self.column(item)).collect();
        let mut joins = String::new();
        for child in &self.children {
            let result = name(&child.result);
            let select = child.node.select()?;
            let how = if child.embed.inner { "inner" } else { "left" };
            if child.relation.to_one() {
                joins.push_str(&format!(" {how} join lateral ({select}) as {result} on true"));
                if child.shown() {
                    list.push(format!("row_to_json({result}.*)::jsonb as {}", name(child.label())));
                }
            } else {
                let on =
                    if child.embed.inner { format!("{result} is not null") } else { "true".into() };
                joins.push_str(&format!(
                    " {how} join lateral (select json_agg({result})::jsonb as {result} from ({select}) as {result}) as {result} on {on}"
                ));
                if child.shown() {
                    list.push(format!(
                        "coalesce({result}.{result}, '[]') as {}",
                        name(child.label())
                    ));
                }
            }
        }
        if list.is_empty() {
            list.push(column(&self.qualifier, "*"));
        }
        let conditions = self.conditions(|child, negate| {
            let not = if negate { "" } else { "not " };
            Ok(format!("{} is {not}distinct from null", name(&child.result)))
        })?;
        let order =
            self.order.iter().map(|term| self.order_term(term)).collect::<Result<Vec<_>, _>>()?;
        let order = if order.is_empty() {
            String::new()
        } else {
            format!(" order by {}", order.join(", "))
        };
        Ok(format!(
            "select {} from {}{joins}{conditions}{order}{}",
            list.join(", "),
            self.from,
            self.range.sql()
        ))
    }

    /// The statement whose rows are to be counted: without columns, order and limits.
    pub(in super::super) fn count(&self) -> Result<String, ApiError> {
        let mut conditions = self.conditions(|child, negate| {
            // `is null` on an embedded resource asks for rows without a related one.
            let not = if negate { "" } else { "not " };
            Ok(format!("{not}exists ({})", child.node.count()?))
        })?;
        for child in self.children.iter().filter(|child| child.embed.inner) {
            conditions.push_str(if conditions.is_empty() { " where " } else { " and " });
            conditions.push_str(&format!("exists ({})", child.node.count()?));
        }
        Ok(format!("select 1 from {}{conditions}", self.from))
    }

    fn conditions(
        &self,
        embedded: impl Fn(&Child<'a>, bool) -> Result<String, ApiError>,
    ) -> Result<String, ApiError> {
        let mut leaf = |filter: &Filter| {
            let child = self.children.iter().find(|child| child.label() == filter.field.name);
            match (child, &filter.test.operation) {
                (Some(child), Operation::Is("null")) => embedded(child, filter.test.negate),
                (Some(child), Operation::Is("not null")) => embedded(child, !filter.test.negate),
                (Some(child), _) => {
                    let message =
                        format!("Bad operator on the '{}' embedded resource", child.label());
                    Err(ApiError::new(400, "PGRST120", message).details(
                        "Only is null or not is null filters are allowed on embedded resources",
                    ))
                }
                (None, _) => {
                    let field = condition::field(&self.qualifier, self.table, &filter.field);
                    Ok(condition::test(&field, &filter.test))
                }
            }
        };
        let mut all = Vec::new();
        for logic in &self.filters {
            all.push(condition::logic(logic, &mut leaf)?);
        }
        all.extend(self.joins.iter().cloned());
        Ok(if all.is_empty() { String::new() } else { format!(" where {}", all.join(" and ")) })
    }

    fn column(&self, item: &Item) -> String {
        match item {
            Item::Column { field, cast, alias } => {
                let mut sql = condition::field(&self.qualifier, self.table, field);
                if let Some(cast) = cast {
                    // Only letters, digits, `_`, `$` and spaces get here, see `query::field`.
                    sql = format!("cast({sql} as {cast})");
                }
                match alias.as_deref().or_else(|| field_label(field)) {
                    Some(label) => format!("{sql} as {}", name(label)),
                    None => sql,
                }
            }
            _ => column(&self.qualifier, "*"),
        }
    }

    fn order_term(&self, term: &Order) -> Result<String, ApiError> {
        let mut sql = match &term.relation {
            None => condition::field(&self.qualifier, self.table, &term.field),
            Some(relation) => self.related_field(relation, &term.field)?,
        };
        if let Some(descending) = term.descending {
            sql.push_str(if descending { " desc" } else { " asc" });
        }
        if let Some(first) = term.nulls_first {
            sql.push_str(if first { " nulls first" } else { " nulls last" });
        }
        Ok(sql)
    }

    fn related_field(&self, relation: &str, field: &Field) -> Result<String, ApiError> {
        let child =
            self.children.iter().find(|c| c.label() == relation || c.embed.name == relation);
        let Some(child) = child else {
            let hint =
                format!("Verify that '{relation}' is included in the 'select' query parameter.");
            let message = format!("'{relation}' is not an embedded resource in this request");
            return Err(ApiError::new(400, "PGRST108", message).hint(Some(hint)));
        };
        if !child.relation.to_one() {
            let here = self.table.map_or(super::SOURCE, |table| table.name.as_str());
            let message = format!("A related order on '{relation}' is not possible");
            return Err(ApiError::new(400, "PGRST118", message).details(format!(
                "'{here}' and '{relation}' do not form a many-to-one or one-to-one relationship"
            )));
        }
        Ok(condition::field(&name(&child.result), None, field))
    }
}

/// The tables of an embedded resource and what joins them to the one above.
fn join(relation: &Relation, above: &str, from: String, qualifier: &str) -> (String, Vec<String>) {
    let equal = |left: &str, right: &str, pairs: &[(String, String)]| {
        pairs
            .iter()
            .map(|(a, b)| format!("{} = {}", column(left, a), column(right, b)))
            .collect::<Vec<_>>()
    };
    match &relation.junction {
        None => {
            let joins = equal(above, qualifier, &relation.columns);
            (from, joins)
        }
        Some(junction) => {
            let between = of(&junction.table);
            let mut joins = equal(above, &between, &junction.from_here);
            joins.extend(equal(&between, qualifier, &junction.to_there));
            (format!("{from}, {between}"), joins)
        }
    }
}
