//! One input after another goes through the engine into an open batch: what is to be written, told and answered once it is
//! committed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::fault;
use crate::model::command::{Command, CommandBody, Reply};
use crate::model::event::{EventBody, QueuedReason};
use crate::model::input::{AboutMessage, Input};
use crate::port::commands::CommandText;
use crate::port::trace::{TraceParent, trace_id};
use crate::routing::{Applied, Effects};

use super::super::commands::PendingCommand;
use super::super::intake::{Item, Prepared};
use super::super::rows;
use super::open::Open;
use super::{Arrival, Driver};

impl Driver {
    /// One arrival into the open batch. `Err`: the engine panicked, and must be rebuilt.
    pub(super) fn apply(&mut self, arrival: &Arrival, open: &mut Open) -> Result<(), String> {
        match arrival {
            Arrival::Item(Item::Duplicate) => self.deps.metrics.input(&self.leadership.pool, "inbound", "duplicate"),
            Arrival::Item(Item::Quarantined(item)) => {
                self.deps.metrics.input(&self.leadership.pool, "inbound", "quarantined");
                open.writes.quarantine.push((**item).clone());
            }
            Arrival::Item(Item::Input(prepared)) => self.apply_prepared(prepared, open)?,
            Arrival::Command(pending) => self.apply_command(pending, open)?,
            Arrival::Timers => {
                self.apply_input(&Input::Timers, None, None, open)?;
            }
            Arrival::Leader(input) => {
                self.apply_input(input, None, None, open)?;
            }
        }
        Ok(())
    }

    fn apply_prepared(&mut self, prepared: &Prepared, open: &mut Open) -> Result<(), String> {
        let opened_before = open.effects.events.len();
        let applied = self.apply_input(&prepared.input, Some(prepared.source.clone()), prepared.traceparent.as_ref(), open)?;
        self.log_opened(prepared, &open.effects, opened_before);
        if let (Input::Inbound(facts), Some(text)) = (&prepared.input, &prepared.message) {
            if applied.result.is_err() {
                // the engine knows no account or queue for it: kept, counted, shown, and new when it is tried again
                self.known.forget(&prepared.source);
                let reason = "the plan has no account or queue for it any more".to_owned();
                open.writes.quarantine.push(self.kept(prepared, reason));
            }
            let numbered = (open.number_of(facts.message), open.at);
            rows::add_inbound(facts, (**text).clone(), &applied, numbered, &mut open.writes);
        }
        Ok(())
    }

    fn apply_command(&mut self, pending: &PendingCommand, open: &mut Open) -> Result<(), String> {
        let command: &Command = &pending.envelope.command;
        let input = match command.body.message() {
            Some(_) => Input::AboutMessage(Box::new(AboutMessage { command: command.clone(), stored: pending.stored.clone() })),
            None => Input::Command(Box::new(command.clone())),
        };
        let traceparent = pending.envelope.traceparent.as_deref().filter(|text| text.parse::<TraceParent>().is_ok()).map(Arc::from);
        let applied = self.apply_input(&input, Some(command.id.to_string()), traceparent.as_ref(), open)?;
        if applied.result.is_ok()
            && let Some(placement) = &applied.placement
        {
            let contact = self.engine.known_contact(placement.contact, &open.effects).cloned();
            if let Some(contact) = contact {
                let numbered = (open.number_of_written(&command.body), open.at);
                rows::add_written(self.engine.plan(), &contact, &pending.envelope, numbered, &mut open.writes);
            }
        }
        if applied.result.is_ok() && matches!(command.body, CommandBody::Copy { .. }) {
            let numbered = (open.number_of_written(&command.body), open.at);
            rows::add_copy(self.engine.plan(), &pending.envelope, numbered, &mut open.writes);
        }
        if let (Ok(()), CommandBody::CloseQueue { queue } | CommandBody::OpenQueue { queue }) = (applied.result, &command.body) {
            open.notices.remove(queue);
            if let (CommandBody::CloseQueue { .. }, Some(CommandText::Text(notice))) = (&command.body, &pending.envelope.text) {
                open.notices.insert(queue.clone(), notice.clone());
            }
        }
        if applied.result.is_ok() && matches!(command.body, CommandBody::ApplyPlan { .. }) {
            open.plan = Some(Arc::clone(self.engine.plan()));
        }
        self.known.note(&command.id.to_string(), applied.result.err());
        open.answers.push(match applied.result {
            Ok(()) => Reply::Applied { seq: open.input_seq },
            Err(code) => Reply::Refused { code },
        });
        Ok(())
    }

    /// One line for each contact that an input opened: from here its trace is found by the contact's id.
    fn log_opened(&self, prepared: &Prepared, effects: &Effects, from: usize) {
        if !tracing::enabled!(tracing::Level::DEBUG) {
            return;
        }
        for (about, body) in &effects.events[from..] {
            if let (Some(about), EventBody::ContactQueued { reason: QueuedReason::New, .. }) = (about, body) {
                let trace_id = prepared.traceparent.as_deref().and_then(trace_id);
                tracing::debug!(pool = %self.leadership.pool, contact = %about.contact, input = prepared.source, trace_id, "contact opened");
            }
        }
    }

    fn apply_input(
        &mut self,
        input: &Input,
        source: Option<String>,
        traceparent: Option<&Arc<str>>,
        open: &mut Open,
    ) -> Result<Applied, String> {
        let seq = open.seq + 1;
        let from = open.effects.events.len();
        let applied = catch_unwind(AssertUnwindSafe(|| {
            if let Input::Inbound(facts) = input
                && facts.text.as_ref().is_some_and(|text| fault::is_marked("panic", &text.subject))
            {
                panic!("asked for by the fault run");
            }
            self.engine.apply(open.at, seq, input, &mut open.effects)
        }));
        let applied = applied.map_err(|_| format!("the engine panicked on an input of kind {}", input.kind()))?;
        let outcome = if applied.result.is_ok() { "applied" } else { "refused" };
        self.deps.metrics.input(&self.leadership.pool, input.kind(), outcome);
        open.input_seq = seq;
        // what goes to quarantine was not taken in: its row must not make a duplicate of it
        let is_kept_aside = matches!(input, Input::Inbound(_)) && applied.result.is_err();
        let source = source.filter(|_| !is_kept_aside && !fault::is_broken("no_inbox"));
        open.writes.inputs.push(rows::input_record(seq, open.at, input, source, &applied));
        open.seq = rows::number_events(&open.effects, from, (seq, open.at), traceparent, &mut open.writes, &mut open.feed);
        Ok(applied)
    }
}
