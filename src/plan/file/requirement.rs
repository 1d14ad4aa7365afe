//! `require = { … }`: what an operator must be. The same shape as the model's JSON, with the place of each part.

use super::super::reader::{Node, Table};
use super::administration::language;
use super::{Names, reference};
use crate::model::id::SkillId;
use crate::model::requirement::{Comparison, Field, Requirement};

const SHAPES: &str =
    "write { skill = \"tributi\", level = 3 }, { field = \"language\", value = \"de\" }, { all = […] }, { any = […] } or { not = {…} }";

pub(super) fn read(node: &Node<'_>, names: &Names) -> Option<Requirement> {
    let requirement = part(node, names)?;
    let conditions = count(&requirement);
    if conditions > Requirement::CONDITIONS_MAX {
        node.problem(format!("this holds {conditions} conditions: at most {} are possible", Requirement::CONDITIONS_MAX));
        return None;
    }
    Some(requirement)
}

fn part(node: &Node<'_>, names: &Names) -> Option<Requirement> {
    let table = node.table()?;
    if table.len() == 0 {
        return Some(Requirement::Anybody);
    }
    let (all, any, not) = (table.get("all"), table.get("any"), table.get("not"));
    let (skill, field) = (table.get("skill"), table.get("field"));
    if [&all, &any, &not, &skill, &field].into_iter().flatten().count() > 1 {
        table.problem(format!("a requirement is one thing at a time: {SHAPES}"));
        return None;
    }
    let read = if let Some(node) = all {
        parts(&node, names).map(Requirement::All)
    } else if let Some(node) = any {
        parts(&node, names).map(Requirement::Any)
    } else if let Some(node) = not {
        part(&node, names).map(|part| Requirement::Not(Box::new(part)))
    } else if let Some(node) = skill {
        skill_level(&node, &table, names)
    } else if let Some(node) = field {
        field_value(&node, &table, names)
    } else {
        table.problem(format!("this is not a requirement: {SHAPES}"));
        None
    };
    table.finish();
    read
}

fn parts(node: &Node<'_>, names: &Names) -> Option<Vec<Requirement>> {
    let nodes = node.array("requirements")?;
    if nodes.is_empty() {
        node.problem("this list is empty: name at least one requirement");
        return None;
    }
    nodes.iter().map(|node| part(node, names)).collect()
}

fn skill_level(node: &Node<'_>, table: &Table<'_>, names: &Names) -> Option<Requirement> {
    let skill = reference(node, "skill", &names.skills, SkillId::new);
    let comparison = table.get("op").map_or(Some(Comparison::AtLeast), |node| node.parsed(comparison));
    let level = table.get("level").map_or(Some(1), |node| node.number(0..=10));
    Some(Requirement::Skill(skill?, comparison?, u8::try_from(level?).expect("a level is at most 10")))
}

fn comparison(text: &str) -> Result<Comparison, String> {
    Ok(match text {
        ">=" => Comparison::AtLeast,
        "<=" => Comparison::AtMost,
        "=" => Comparison::Equal,
        ">" => Comparison::Above,
        "<" => Comparison::Below,
        other => {
            return Err(format!(
                "`{}` is not a comparison: write \">=\", \"<=\", \"=\", \">\" or \"<\"",
                other.chars().take(16).collect::<String>()
            ));
        }
    })
}

fn field_value(node: &Node<'_>, table: &Table<'_>, names: &Names) -> Option<Requirement> {
    let field = node.parsed(|text| match text {
        "language" => Ok(Field::Language),
        "country" => Ok(Field::Country),
        "office" => Ok(Field::Office),
        "administration" => Ok(Field::Administration),
        "queue" => Ok(Field::Queue),
        other => Err(format!(
            "`{}` is not a field: write language, country, office, administration or queue",
            other.chars().take(64).collect::<String>()
        )),
    });
    let node = table.need("value", "what the field must be")?;
    let field = field?;
    let value = match field {
        Field::Language => node.parsed(language).map(|language| language.to_string()),
        Field::Country => node.parsed(country),
        Field::Office => reference(&node, "office", &names.offices.values().flatten().cloned().collect(), owned),
        Field::Administration => reference(&node, "administration", &names.administrations, owned),
        Field::Queue => reference(&node, "queue", &names.queues.values().flatten().cloned().collect(), owned),
    };
    Some(Requirement::Field(field, value?))
}

fn owned(text: &str) -> Result<String, std::convert::Infallible> {
    Ok(text.to_owned())
}

fn country(text: &str) -> Result<String, String> {
    match text.as_bytes() {
        [a, b] if a.is_ascii_uppercase() && b.is_ascii_uppercase() => Ok(text.to_owned()),
        _ => Err(format!(
            "`{}` is not a country: write its two capital letters in ISO 3166-1, such as IT",
            text.chars().take(64).collect::<String>()
        )),
    }
}

fn count(requirement: &Requirement) -> usize {
    match requirement {
        Requirement::Anybody => 0,
        Requirement::All(parts) | Requirement::Any(parts) => 1 + parts.iter().map(count).sum::<usize>(),
        Requirement::Not(part) => 1 + count(part),
        Requirement::Skill(..) | Requirement::Field(..) => 1,
    }
}
