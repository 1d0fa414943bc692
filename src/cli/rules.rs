//! `rules`: alert rules as a file.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use secrecy::SecretString;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::wiring;
use crate::{
    clock::Clock,
    config::{Credentials, Environment, Supabase},
    error::Error,
    model::Span,
    rest::{Forward, Forwarded, RestConfig},
    rules_file::{self, Bound, Change, FileRule, Plan, Stored},
    token::Claims,
};

/// Life of the token that is minted for one command.
const TOKEN_LIFE: Span = Span::from_secs(300);
/// Rows asked for at once, PostgREST's usual limit.
const PAGE: usize = 1_000;

/// Alert rules as a file: export them, check a file, and make the database say what it says.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print a project's rules as a file.
    Export(Place),
    /// Make a project's rules what a file says; what the file made before and has no longer goes.
    Apply(Apply),
    /// Say what is wrong with a file, line by line, without looking at any database.
    Check {
        /// The file.
        file: PathBuf,
        /// Answer as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print the JSON Schema of such files, for editors.
    Schema,
}

#[derive(Debug, Args)]
struct Place {
    /// The project; without it the rules that watch everything.
    #[arg(long, value_name = "UUID")]
    project: Option<Uuid>,
    /// Act with the access token in this file, for example a project admin's; without it a service
    /// token is minted.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Apply {
    /// The file.
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    place: Place,
    /// Only print what would change.
    #[arg(long)]
    dry_run: bool,
    /// Take over rules of the same name that people, or another file, made.
    #[arg(long)]
    adopt: bool,
    /// The mark on the file's rules; by default the file's name.
    #[arg(long, value_name = "NAME")]
    managed_by: Option<String>,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Does what was asked of the rules.
///
/// # Errors
/// When the file is wrong, the token may not, or the REST service does not answer.
pub async fn execute(arguments: Arguments, environment: &Environment) -> Result<(), Error> {
    match arguments.command {
        Command::Export(place) => {
            let server = Server::connect(&place, environment)?;
            let stored = server.stored().await?;
            let rules: Vec<_> = stored.iter().map(as_file).collect();
            let rules = rules.iter().map(|(columns, channels)| (columns, channels.as_slice()));
            print!("{}", rules_file::render(rules));
            Ok(())
        }
        Command::Apply(apply) => execute_apply(&apply, environment).await,
        Command::Check { file, json } => check(&file, json),
        Command::Schema => {
            let schema = serde_json::to_string_pretty(&rules_file::schema());
            println!("{}", schema.map_err(Error::failed)?);
            Ok(())
        }
    }
}

fn check(file: &Path, as_json: bool) -> Result<(), Error> {
    let rules = rules_file::parse(&text_of(file)?);
    if as_json {
        let problems = rules.as_ref().err().into_iter().flatten().map(|problem| {
            json!({"line": problem.line, "field": problem.field, "message": problem.message})
        });
        let problems: Vec<Value> = problems.collect();
        println!("{}", json!({"rules": rules.as_ref().map_or(0, Vec::len), "problems": problems}));
    }
    let rules = rules.map_err(|problems| wrong(file, &problems))?;
    if !as_json {
        println!("{}: {} rules, nothing wrong", file.display(), rules.len());
    }
    Ok(())
}

async fn execute_apply(apply: &Apply, environment: &Environment) -> Result<(), Error> {
    let rules = read(&apply.file)?;
    let name = apply.file.file_name().map(|name| name.to_string_lossy().into_owned());
    let owner = apply.managed_by.clone().or(name).unwrap_or_default();
    if owner.trim().is_empty() || owner.chars().count() > 200 {
        return Err(Error::failed(
            "the mark on the file's rules must have 1 to 200 characters; give one with --managed-by",
        ));
    }
    let server = Server::connect(&apply.place, environment)?;
    let (stored, channels) = (server.stored().await?, server.channels().await?);
    let plan = rules_file::plan(&rules, &stored, &channels, &owner, apply.adopt);
    let plan = plan.map_err(|problems| wrong(&apply.file, &problems))?;
    let applies = !apply.dry_run && !plan.is_empty();
    if !apply.json {
        println!("{plan}");
    }
    if applies {
        server.apply(&owner, &plan).await?;
    }
    match (apply.json, applies) {
        (true, _) => println!("{}", facts(&plan, applies)),
        (false, true) => println!("applied"),
        (false, false) => {}
    }
    Ok(())
}

/// A plan for scripts, and whether it was carried out.
fn facts(plan: &Plan, applied: bool) -> Value {
    let changes = plan.changes.iter().map(|change| match change {
        Change::Create { columns, .. } => json!({"change": "create", "name": columns.get("name")}),
        Change::Update { rule_id, name, differences, adopted, .. } => {
            let difference = |(field, old, new): &(&str, String, String)| {
                json!({"field": field, "from": old, "to": new})
            };
            let differences: Vec<Value> = differences.iter().map(difference).collect();
            json!({
                "change": "update", "name": name, "rule_id": rule_id, "adopted": adopted,
                "differences": differences,
            })
        }
        Change::Delete { rule_id, name } => {
            json!({"change": "delete", "name": name, "rule_id": rule_id})
        }
    });
    let changes: Vec<Value> = changes.collect();
    json!({"applied": applied, "unchanged": plan.unchanged, "changes": changes})
}

fn text_of(file: &Path) -> Result<String, Error> {
    std::fs::read_to_string(file)
        .map_err(|error| Error::failed(format!("{}: cannot be read: {error}", file.display())))
}

fn read(file: &Path) -> Result<Vec<FileRule>, Error> {
    rules_file::parse(&text_of(file)?).map_err(|problems| wrong(file, &problems))
}

/// One line for each problem, as compilers write them.
fn wrong(file: &Path, problems: &[rules_file::Problem]) -> Error {
    let lines = problems.iter().map(|problem| format!("{}: {problem}", file.display()));
    Error::failed(lines.collect::<Vec<_>>().join("\n"))
}

fn as_file(stored: &Stored) -> (Map<String, Value>, Vec<rules_file::Binding>) {
    let channels = stored.channels.iter().map(|bound| rules_file::Binding {
        line: 0,
        name: bound.name.clone(),
        min_level: bound.min_level,
    });
    (stored.columns.clone(), channels.collect())
}

/// The project's REST service, and the token to act by.
struct Server {
    rest: Forward,
    token: SecretString,
    project: Option<Uuid>,
}

impl Server {
    fn connect(place: &Place, environment: &Environment) -> Result<Self, Error> {
        let mut reader = environment.reader();
        let supabase = Supabase::read(&mut reader);
        let credentials =
            if place.token_file.is_none() { Credentials::read(&mut reader) } else { None };
        let supabase = reader.finish(supabase)?;
        let token = match (&place.token_file, credentials) {
            (Some(path), _) => SecretString::from(text_of(path)?.trim()),
            (None, Some(credentials)) => {
                let source = wiring::token_source(&credentials)?;
                let claims = Claims {
                    role: "service_role".to_owned(),
                    issuer: "meshhook-errors".to_owned(),
                    extra: Map::new(),
                };
                source.mint(&claims, TOKEN_LIFE, Clock::system().now())?
            }
            (None, None) => {
                return Err(Error::failed(
                    "there is nothing to act by: give --token-file, or set SUPABASE_JWT_SECRET, \
                     SUPABASE_SIGNING_KEY or SUPABASE_SERVICE_ROLE_KEY",
                ));
            }
        };
        let config = RestConfig::new(supabase.rest_url.clone(), supabase.anon_key.clone());
        let rest = Forward::new(&config)?;
        Ok(Self { rest, token, project: place.project })
    }

    /// Carries out a plan, in one transaction.
    async fn apply(&self, owner: &str, plan: &Plan) -> Result<(), Error> {
        let arguments = json!({
            "project_id": self.project,
            "managed_by": owner,
            "changes": plan.request(),
        });
        let what = Forwarded { path: "rpc/apply_alert_rules", ..Forwarded::default() };
        self.rest.post(&self.token, what, &arguments).await?;
        Ok(())
    }

    /// The project's rules, with their channels' names, in order of their names.
    async fn stored(&self) -> Result<Vec<Stored>, Error> {
        let ours = of_project(self.project);
        let bindings = self.rows("alert_rule_channels", &ours, "rule_id,channel_id").await?;
        let names = self.channel_rows().await?;
        let mut stored = Vec::new();
        for row in self.rows("alert_rules", &ours, "name,rule_id").await? {
            let Value::Object(columns) = row else { continue };
            let Some(rule_id) = id(&columns, "rule_id") else { continue };
            let of_rule = bindings.iter().filter_map(Value::as_object);
            let of_rule = of_rule.filter(|binding| id(binding, "rule_id") == Some(rule_id));
            let channels = of_rule.filter_map(|binding| {
                let channel_id = id(binding, "channel_id")?;
                let name = names.iter().find(|(known, _)| *known == channel_id);
                Some(Bound {
                    channel_id,
                    // One that the token may not see still differs from none.
                    name: name.map_or_else(|| channel_id.to_string(), |(_, name)| name.clone()),
                    min_level: binding.get("min_level")?.as_str()?.parse().ok()?,
                })
            });
            let mut channels: Vec<Bound> = channels.collect();
            channels.sort_by(|a, b| a.name.cmp(&b.name));
            let managed_by = columns.get("managed_by").and_then(Value::as_str).map(str::to_owned);
            stored.push(Stored { rule_id, managed_by, channels, columns });
        }
        Ok(stored)
    }

    /// Channels by name; one of the project goes before one of none.
    async fn channels(&self) -> Result<HashMap<String, Uuid>, Error> {
        let rows = self.channel_rows().await?;
        Ok(rows.into_iter().map(|(id, name)| (name, id)).collect())
    }

    /// Channels that rules of the project may tell: those of no project first.
    async fn channel_rows(&self) -> Result<Vec<(Uuid, String)>, Error> {
        let mut places = vec![of_project(None)];
        if self.project.is_some() {
            places.push(of_project(self.project));
        }
        let mut found = Vec::new();
        for place in places {
            for row in self.rows("alert_channels", &place, "name,channel_id").await? {
                let Some(columns) = row.as_object() else { continue };
                let name = columns.get("name").and_then(Value::as_str);
                found.extend(id(columns, "channel_id").zip(name.map(str::to_owned)));
            }
        }
        Ok(found)
    }

    /// All rows of a table where its `project_id` is so.
    async fn rows(&self, table: &str, project: &str, order: &str) -> Result<Vec<Value>, Error> {
        let mut all = Vec::new();
        loop {
            let query = [
                ("select", "*".to_owned()),
                ("project_id", project.to_owned()),
                ("order", order.to_owned()),
                ("limit", PAGE.to_string()),
                ("offset", all.len().to_string()),
            ];
            let what = Forwarded { path: table, query: &query, ..Forwarded::default() };
            let answer = self.rest.get(&self.token, what).await?;
            let page: Vec<Value> = answer.json()?;
            let last = page.len() < PAGE;
            all.extend(page);
            if last {
                return Ok(all);
            }
        }
    }
}

fn of_project(project: Option<Uuid>) -> String {
    project.map_or_else(|| "is.null".to_owned(), |project| format!("eq.{project}"))
}

fn id(columns: &Map<String, Value>, field: &str) -> Option<Uuid> {
    columns.get(field)?.as_str()?.parse().ok()
}
