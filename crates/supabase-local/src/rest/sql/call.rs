//! Calling functions, and reading JSON as typed rows.

use super::super::{
    cache::{Function, Parameter},
    payload::Payload,
    quote::{literal, name, qualified},
};

/// What a function is called with.
#[derive(Clone, Debug)]
pub(in super::super) enum Arguments<'a> {
    /// Values by parameter name, of these parameters.
    Named(&'a Payload, Vec<&'a Parameter>),
    /// The whole body for the single parameter without a name.
    Whole(&'a str, &'a Parameter),
}

/// `select … from function(…)`.
pub(in super::super) fn call(function: &Function, arguments: &Arguments<'_>) -> String {
    let target = qualified(&function.schema, &function.name);
    let (from, list) = match arguments {
        Arguments::Whole(body, parameter) => {
            (String::new(), format!("{}::{}", literal(body), parameter.type_name))
        }
        Arguments::Named(_, parameters) if parameters.is_empty() => (String::new(), String::new()),
        Arguments::Named(payload, parameters) => {
            let typed: Vec<(&str, &str)> = parameters
                .iter()
                .map(|parameter| (parameter.name.as_str(), parameter.type_name.as_str()))
                .collect();
            let list: Vec<_> = parameters
                .iter()
                .map(|parameter| {
                    let variadic = if parameter.variadic { "variadic " } else { "" };
                    format!("{variadic}{0} := pgrst_body.{0}", name(&parameter.name))
                })
                .collect();
            (format!("{}, lateral ", read_json(payload, &typed, true)), list.join(", "))
        }
    };
    let from = if from.is_empty() { "from ".to_owned() } else { from };
    if function.returns_scalar() {
        format!(
            "select pgrst_call.pgrst_scalar {from}(select {target}({list}) as pgrst_scalar) pgrst_call"
        )
    } else {
        format!("select pgrst_call.* {from}{target}({list}) pgrst_call")
    }
}

/// `from` a payload as rows of these names and types, under the name `pgrst_body`.
pub(super) fn read_json(payload: &Payload, typed: &[(&str, &str)], only_one: bool) -> String {
    format!(
        "from (select {}::json as json_data) pgrst_payload, lateral ({}) pgrst_body",
        literal(&payload.json),
        json_rows("json", "pgrst_payload.json_data", payload.single, typed, only_one)
    )
}

/// `select` of the rows in a JSON value.
pub(super) fn json_rows(
    kind: &str,
    value: &str,
    single: bool,
    typed: &[(&str, &str)],
    only_one: bool,
) -> String {
    if typed.is_empty() {
        // Objects without keys are rows all the same, of defaults only.
        return if single {
            "select from (values (1)) _".to_owned()
        } else {
            format!("select from {kind}_array_elements({value}) _")
        };
    }
    let function = if single { "to_record" } else { "to_recordset" };
    let names = typed.iter().map(|(column, _)| name(column)).collect::<Vec<_>>().join(", ");
    let types = typed
        .iter()
        .map(|(column, type_name)| format!("{} {type_name}", name(column)))
        .collect::<Vec<_>>()
        .join(", ");
    let limit = if only_one { " limit 1" } else { "" };
    format!("select {names} from {kind}_{function}({value}) as _({types}){limit}")
}
