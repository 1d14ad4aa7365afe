//! Who may see and do what: the one place. Deny by default; what nobody granted is as if it were not there.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::directory::People;
use super::problem::Problem;
use super::session::Caller;
use crate::model::contact::Contact;
use crate::model::event::{Event, EventBody};
use crate::model::id::{AdministrationId, OfficeId, PoolId, QueueId};
use crate::model::operator::{Grant, Operator, OperatorProfile, Role, Scope};
use crate::plan::Plan;

/// What a caller may do with a contact that they may know of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sight {
    /// They may read text, names and addresses.
    pub content: bool,
    /// They may act on it though it is not theirs.
    pub supervises: bool,
}

/// A caller's rights under one plan.
pub struct Rights {
    caller: Arc<Caller>,
    profile: OperatorProfile,
    plan: Arc<Plan>,
    administrations: Vec<AdministrationId>,
}

impl Rights {
    /// The rights of a caller: their grants, and their profile among the pool's people.
    pub fn new(caller: &Arc<Caller>, people: &People, plan: Arc<Plan>) -> Self {
        let profile = people.profile(caller.operator());
        let administrations = known_administrations(&plan, &caller.login.grants, Some(&profile)).into_iter().collect();
        Self { caller: Arc::clone(caller), profile, plan, administrations }
    }

    /// The caller.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The plan they were made under.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Administrations of which the caller may see anything: the bound of every query.
    pub fn administrations(&self) -> &[AdministrationId] {
        &self.administrations
    }

    /// What the caller may do with a contact; none if they may not know of it.
    pub fn sight(&self, contact: &Contact) -> Option<Sight> {
        let me = self.caller.operator();
        let holds = self.caller.is_operator() && (contact.state.owner() == Some(me) || contact.state.holder() == Some(me));
        let mut sight = holds.then_some(Sight { content: true, supervises: false });
        for grant in &self.caller.login.grants {
            let reaches = match grant.role {
                Role::Operator => self.works_for(grant, &contact.administration, &contact.office),
                Role::Supervisor | Role::Admin => covers(&self.plan, &grant.scope, &contact.administration, &contact.office),
            };
            if reaches {
                let seen = sight.get_or_insert(Sight { content: false, supervises: false });
                seen.content |= grant.content;
                seen.supervises |= grant.role >= Role::Supervisor;
            }
        }
        sight
    }

    /// An operator's grant reaches the offices of the administrations in their profile; a restricted one by membership only.
    fn works_for(&self, grant: &Grant, administration: &AdministrationId, office: &OfficeId) -> bool {
        let in_scope = match &grant.scope {
            Scope::Pool(pool) => self.plan.administrations.get(administration).is_some_and(|body| body.pool == *pool),
            Scope::Administration(id) => id == administration,
            Scope::Office(id, only) => id == administration && only == office,
        };
        in_scope
            && self.profile.administrations.contains(administration)
            && (!self.plan.is_restricted(administration, office) || self.profile.offices.contains(office))
    }

    /// Whether a supervisor's or administrator's grant reaches an office.
    pub fn supervises(&self, administration: &AdministrationId, office: &OfficeId) -> bool {
        self.reach(Role::Supervisor).any(|grant| covers(&self.plan, &grant.scope, administration, office))
    }

    /// The offices that a supervisor's or administrator's grants reach: what their lists are narrowed to.
    pub fn supervised_offices(&self) -> Vec<(AdministrationId, OfficeId)> {
        let known = self.plan.administrations.iter();
        let known = known.flat_map(|(id, body)| body.offices.keys().map(move |office| (id.clone(), office.clone())));
        let named = self.reach(Role::Supervisor).filter_map(|grant| match &grant.scope {
            Scope::Office(id, office) => Some((id.clone(), office.clone())),
            Scope::Pool(_) | Scope::Administration(_) => None,
        });
        known.chain(named).filter(|(id, office)| self.supervises(id, office)).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The administrations in which a supervisor's or administrator's grants reach anything.
    pub fn supervised_administrations(&self) -> Vec<AdministrationId> {
        let mut reached = BTreeSet::new();
        for grant in self.reach(Role::Supervisor) {
            match &grant.scope {
                Scope::Pool(pool) => reached.extend(self.plan.administrations_of(pool).cloned()),
                Scope::Administration(id) | Scope::Office(id, _) => {
                    reached.insert(id.clone());
                }
            }
        }
        reached.into_iter().collect()
    }

    /// Refuses who is nowhere at least `role`.
    pub fn require(&self, role: Role) -> Result<(), Problem> {
        if self.caller.has_role(role) { Ok(()) } else { Err(Problem::forbidden()) }
    }

    /// Refuses a queue that the caller does not supervise: as unknown, if they supervise others.
    pub fn require_queue(&self, queue: &QueueId) -> Result<PoolId, Problem> {
        self.require(Role::Supervisor)?;
        let known = self.plan.queues.get(queue).ok_or_else(Problem::not_found)?;
        if !self.supervises(&known.administration, &known.office) {
            return Err(Problem::not_found());
        }
        let body = self.plan.administrations.get(&known.administration).ok_or_else(Problem::not_found)?;
        Ok(body.pool.clone())
    }

    /// Whether a supervisor's scope reaches a colleague: any administration they work for.
    pub fn supervises_operator(&self, operator: &Operator) -> bool {
        self.reach(Role::Supervisor).any(|grant| match &grant.scope {
            Scope::Pool(pool) => *pool == operator.pool,
            Scope::Administration(id) => operator.profile.administrations.contains(id),
            Scope::Office(id, office) => operator.profile.administrations.contains(id) && operator.profile.offices.contains(office),
        })
    }

    /// What of somebody's profile and grants lies within the administrations that the caller supervises. Offices and queues that the
    /// plan does not know any more lie nowhere; a grant of the pool is one in each of its administrations.
    pub fn supervised_part(&self, mut profile: OperatorProfile, mut grants: Vec<Grant>) -> (OperatorProfile, Vec<Grant>) {
        let (plan, mine) = (&self.plan, self.supervised_administrations());
        profile.administrations.retain(|administration| mine.contains(administration));
        profile.offices.retain(|office| profile.administrations.iter().any(|body| plan.office(body, office).is_some()));
        profile.queues.retain(|queue| plan.queues.get(queue).is_some_and(|queue| mine.contains(&queue.administration)));
        grants.retain(|grant| match &grant.scope {
            Scope::Pool(pool) => plan.administrations_of(pool).any(|administration| mine.contains(administration)),
            Scope::Administration(id) | Scope::Office(id, _) => mine.contains(id),
        });
        (profile, grants)
    }

    /// Whether the caller may make or change an account with this profile and these grants: all of it within their own reach
    /// as an administrator, so that nobody hands out more than they have.
    pub fn may_administer(&self, pool: &PoolId, profile: &OperatorProfile, grants: &[Grant]) -> bool {
        let administers = |administration: &AdministrationId| {
            self.reach(Role::Admin).any(|grant| match &grant.scope {
                Scope::Pool(pool) => self.plan.administrations.get(administration).is_some_and(|body| body.pool == *pool),
                Scope::Administration(id) => id == administration,
                Scope::Office(..) => false,
            })
        };
        let restricted = profile.administrations.iter().all(|administration| {
            profile.offices.iter().all(|office| {
                let here = self.plan.office(administration, office).is_some_and(|office| office.restricted);
                !here || self.reach(Role::Admin).any(|grant| covers(&self.plan, &grant.scope, administration, office))
            })
        });
        let somewhere = !profile.administrations.is_empty() || self.administers_pool(pool);
        somewhere && restricted && profile.administrations.iter().all(administers) && grants.iter().all(|grant| self.may_grant(grant))
    }

    /// Whether the caller administers a whole pool.
    pub fn administers_pool(&self, pool: &PoolId) -> bool {
        self.reach(Role::Admin).any(|grant| grant.scope == Scope::Pool(pool.clone()))
    }

    /// Whether the caller administers an administration, or the pool that serves it.
    pub fn administers(&self, administration: &AdministrationId) -> bool {
        self.reach(Role::Admin).any(|grant| match &grant.scope {
            Scope::Pool(pool) => self.plan.administrations.get(administration).is_some_and(|body| body.pool == *pool),
            Scope::Administration(id) => id == administration,
            Scope::Office(..) => false,
        })
    }

    fn may_grant(&self, wanted: &Grant) -> bool {
        self.reach(Role::Admin).any(|mine| (mine.content || !wanted.content) && encloses(&self.plan, &mine.scope, &wanted.scope))
    }

    fn reach(&self, role: Role) -> impl Iterator<Item = &Grant> {
        self.caller.login.grants.iter().filter(move |grant| grant.role >= role)
    }
}

/// Administrations of which somebody with these grants and this profile may see anything.
pub fn known_administrations(plan: &Plan, grants: &[Grant], profile: Option<&OperatorProfile>) -> BTreeSet<AdministrationId> {
    let mut known = BTreeSet::new();
    for grant in grants {
        match (&grant.role, &grant.scope) {
            (Role::Operator, _) => known.extend(profile.iter().flat_map(|profile| profile.administrations.iter().cloned())),
            (_, Scope::Pool(pool)) => known.extend(plan.administrations_of(pool).cloned()),
            (_, Scope::Administration(id) | Scope::Office(id, _)) => {
                known.insert(id.clone());
            }
        }
    }
    known
}

/// Whether a scope reaches an office. A restricted one is reached by its own scope only; what the plan does not know is
/// restricted.
pub fn covers(plan: &Plan, scope: &Scope, administration: &AdministrationId, office: &OfficeId) -> bool {
    match scope {
        Scope::Pool(pool) => {
            plan.administrations.get(administration).is_some_and(|body| body.pool == *pool) && !plan.is_restricted(administration, office)
        }
        Scope::Administration(id) => id == administration && !plan.is_restricted(administration, office),
        Scope::Office(id, only) => id == administration && only == office,
    }
}

/// Whether everything that `inner` reaches is reached by `outer`.
fn encloses(plan: &Plan, outer: &Scope, inner: &Scope) -> bool {
    if outer == inner {
        return true;
    }
    match (outer, inner) {
        (Scope::Pool(pool), Scope::Administration(id)) => plan.administrations.get(id).is_some_and(|body| body.pool == *pool),
        (Scope::Pool(_) | Scope::Administration(_), Scope::Office(id, office)) => covers(plan, outer, id, office),
        _ => false,
    }
}

/// Whether a supervisor's live feed shows an event, beyond what names them.
pub fn watches(plan: &Plan, grants: &[Grant], pool: &PoolId, people: &People, event: &Event) -> bool {
    grants.iter().filter(|grant| grant.role >= Role::Supervisor).any(|grant| {
        if let Some(about) = &event.about {
            return covers(plan, &grant.scope, &about.administration, &about.office);
        }
        match (&event.body, &grant.scope) {
            (EventBody::OperatorPresence { .. } | EventBody::OperatorChanged { .. }, Scope::Pool(mine)) => mine == pool,
            (EventBody::OperatorPresence { operator, .. } | EventBody::OperatorChanged { operator }, scope) => {
                people.operators.get(operator).is_some_and(|who| match scope {
                    Scope::Administration(id) => who.profile.administrations.contains(id),
                    Scope::Office(id, office) => who.profile.administrations.contains(id) && who.profile.offices.contains(office),
                    Scope::Pool(_) => false,
                })
            }
            (EventBody::PoolLed { .. }, Scope::Pool(mine)) => mine == pool,
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk::session::Credential;
    use crate::desk::testing::{self, grant, login, plan};
    use crate::model::contact::ContactState;
    use crate::model::id::OperatorId;

    fn rights(grants: Vec<Grant>, administrations: &[&str], offices: &[&str]) -> Rights {
        let login = login(1, "anna", grants);
        let mut people = People::default();
        people.operators.insert(login.operator, testing::operator(1, administrations, offices));
        let caller = Arc::new(Caller { login, credential: Credential::Cookie("x".into()) });
        Rights::new(&caller, &people, Arc::new(plan()))
    }

    #[test]
    fn sight_of_a_contact_by_role_and_scope() {
        use Role::{Admin, Operator, Supervisor};
        let pool = || testing::pool_scope();
        let body = |id: &str| Scope::Administration(AdministrationId::new(id).unwrap());
        let office = |id: &str, office: &str| Scope::Office(AdministrationId::new(id).unwrap(), OfficeId::new(office).unwrap());
        let some = |content, supervises| Some(Sight { content, supervises });
        type Case<'a> = (&'a str, Vec<Grant>, &'a [&'a str], &'a [&'a str], &'a str, &'a str, Option<Sight>);
        #[rustfmt::skip]
        let table: Vec<Case> = vec![
            ("operator in the profile", vec![grant(Operator, pool(), false)], &["comune"], &[], "comune", "urp", some(false, false)),
            ("operator with content", vec![grant(Operator, pool(), true)], &["comune"], &[], "comune", "urp", some(true, false)),
            ("operator, other administration", vec![grant(Operator, pool(), true)], &["comune"], &[], "asl", "cup", None),
            ("operator, restricted", vec![grant(Operator, pool(), true)], &["comune"], &[], "comune", "sociale", None),
            ("operator, member of restricted", vec![grant(Operator, pool(), true)], &["comune"], &["sociale"], "comune", "sociale", some(true, false)),
            ("pool supervisor", vec![grant(Supervisor, pool(), false)], &[], &[], "asl", "cup", some(false, true)),
            ("pool supervisor, restricted", vec![grant(Supervisor, pool(), true)], &[], &[], "comune", "sociale", None),
            ("office supervisor", vec![grant(Supervisor, office("comune", "sociale"), true)], &[], &[], "comune", "sociale", some(true, true)),
            ("office supervisor elsewhere", vec![grant(Supervisor, office("comune", "sociale"), true)], &[], &[], "comune", "urp", None),
            ("administration supervisor", vec![grant(Supervisor, body("comune"), true)], &[], &[], "comune", "urp", some(true, true)),
            ("administration supervisor elsewhere", vec![grant(Supervisor, body("comune"), true)], &[], &[], "asl", "cup", None),
            ("admin", vec![grant(Admin, body("asl"), false)], &[], &[], "asl", "cup", some(false, true)),
            ("nothing", vec![], &["comune"], &["sociale"], "comune", "urp", None),
            ("office the plan does not know", vec![grant(Supervisor, pool(), true)], &[], &[], "comune", "gone", None),
        ];
        for (what, grants, administrations, offices, administration, office, expected) in table {
            let contact = testing::contact(7, administration, office, ContactState::Queued);
            let rights = rights(grants, administrations, offices);
            assert_eq!(rights.sight(&contact), expected, "{what}");
            let supervises = expected.is_some_and(|sight| sight.supervises);
            let place = (contact.administration.clone(), contact.office.clone());
            assert_eq!(rights.supervises(&place.0, &place.1), supervises, "{what}");
            assert_eq!(rights.supervised_offices().contains(&place), supervises, "{what}");
        }
    }

    #[test]
    fn an_owner_reads_what_they_own() {
        let state = ContactState::Active { operator: OperatorId(1), untouched_until: None };
        let contact = testing::contact(7, "comune", "sociale", state);
        let who = rights(vec![grant(Role::Operator, testing::pool_scope(), false)], &["comune"], &[]);
        assert_eq!(who.sight(&contact), Some(Sight { content: true, supervises: false }));
        assert_eq!(rights(vec![], &["comune"], &[]).sight(&contact), None);
    }

    #[test]
    fn nobody_hands_out_more_than_they_have() {
        let admin = rights(vec![grant(Role::Admin, testing::pool_scope(), false)], &[], &[]);
        let profile = testing::operator(2, &["comune"], &[]).profile;
        let pool = testing::pool();
        assert!(admin.may_administer(&pool, &profile, &[grant(Role::Operator, testing::pool_scope(), false)]));
        assert!(!admin.may_administer(&pool, &profile, &[grant(Role::Operator, testing::pool_scope(), true)]), "content");
        let social = Scope::Office(AdministrationId::new("comune").unwrap(), OfficeId::new("sociale").unwrap());
        assert!(!admin.may_administer(&pool, &profile, &[grant(Role::Supervisor, social, false)]), "restricted scope");
        let member = testing::operator(2, &["comune"], &["sociale"]).profile;
        assert!(!admin.may_administer(&pool, &member, &[]), "restricted membership");
        let local = rights(vec![grant(Role::Admin, Scope::Administration(AdministrationId::new("asl").unwrap()), true)], &[], &[]);
        assert!(!local.may_administer(&pool, &profile, &[]), "other administration");
        assert!(!local.may_administer(&pool, &OperatorProfile::default(), &[]), "nobody's");
        assert!(!rights(vec![grant(Role::Supervisor, testing::pool_scope(), true)], &[], &[]).may_administer(&pool, &profile, &[]));
    }
}
