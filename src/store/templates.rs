//! The rules' own titles and bodies: which were not tried yet, and what came of trying them.

use std::time::Duration;

use sqlx::{FromRow as _, Row as _};
use uuid::Uuid;

use super::{Db, StoreError, pool::within};

/// How long the database may take to answer.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// The templates of a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct RuleTemplates {
    /// Primary key of `alert_rules`.
    pub rule_id: Uuid,
    /// Template of the title, where the rule has one.
    pub title_template: Option<String>,
    /// Template of the body, where the rule has one.
    pub body_template: Option<String>,
    /// By what the rule groups.
    pub group_by: Vec<String>,
}

/// The templates in a database.
#[derive(Clone, Debug)]
pub struct TemplateBook {
    db: Db,
}

impl TemplateBook {
    /// The templates in `db`.
    pub fn new(db: impl Into<Db>) -> Self {
        Self { db: db.into() }
    }

    /// Templates that were written since they were last tried, at most 100 rules.
    ///
    /// # Errors
    /// Where the database cannot be asked.
    pub async fn unchecked(&self) -> Result<Vec<RuleTemplates>, StoreError> {
        within("look for new templates", TIME_LIMIT, async {
            let mut link = self.db.link().await?;
            let query = link.query(include_str!("../../sql/templates_unchecked.sql"));
            let rows = query.fetch_all(link.connection()).await?;
            link.commit().await?;
            Ok(rows.iter().map(RuleTemplates::from_row).collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Notes what came of trying templates; returns whether that is news. Templates that were changed
    /// meanwhile are left to the next try.
    ///
    /// # Errors
    /// Where the database cannot be asked.
    pub async fn checked(
        &self,
        templates: &RuleTemplates,
        problem: Option<&str>,
    ) -> Result<bool, StoreError> {
        self.note(include_str!("../../sql/template_checked.sql"), templates, problem).await
    }

    /// Notes that a template failed in a message where nothing is known to be wrong with it; returns
    /// whether that is news.
    ///
    /// # Errors
    /// Where the database cannot be asked.
    pub async fn failed(
        &self,
        templates: &RuleTemplates,
        problem: &str,
    ) -> Result<bool, StoreError> {
        self.note(include_str!("../../sql/template_failed.sql"), templates, Some(problem)).await
    }

    async fn note(
        &self,
        sql: &'static str,
        templates: &RuleTemplates,
        problem: Option<&str>,
    ) -> Result<bool, StoreError> {
        within("note what came of templates", TIME_LIMIT, async {
            let mut link = self.db.link().await?;
            let row = link
                .query(sql)
                .bind(templates.rule_id)
                .bind(templates.title_template.clone())
                .bind(templates.body_template.clone())
                .bind(problem.map(str::to_owned))
                .fetch_one(link.connection())
                .await?;
            link.commit().await?;
            Ok(row.try_get(0)?)
        })
        .await
    }
}
