//! What operators do about a message of ours that failed, or of which nobody knows the end: sent again as a new order, or settled by
//! their word. Neither happens by itself.

use crate::model::command::{Command, CommandBody, Refusal};
use crate::model::contact::StateName;
use crate::model::delivery::{Delivery, DeliveryState, Settled};
use crate::model::event::EventBody;
use crate::model::id::{ContactId, MessageId, OperatorId};

use super::effects::{Applied, Effects};
use super::engine::Engine;
use super::parameters::RETRIES;

/// The code of a failure that a person found out.
const NOT_ARRIVED: &str = "not_arrived";

impl Engine {
    /// A command about a message that is there already.
    ///
    /// `stored`: its delivery as it was stored, for one that the engine has forgotten.
    pub(super) fn obey_about_message(
        &mut self,
        command: &Command,
        stored: Option<&Delivery>,
        effects: &mut Effects,
    ) -> Result<Applied, Refusal> {
        let (contact, message) = command.body.message().ok_or(Refusal::Invalid)?;
        self.check_owner(command, contact, &StateName::ALL)?;
        let delivery = self.delivery_in(contact, message, stored, effects)?;
        match command.body {
            CommandBody::SettleMessage { arrived, .. } => {
                let operator = command.actor.operator.ok_or(Refusal::Invalid)?;
                self.settle_message(delivery, operator, arrived, effects)?;
            }
            _ => self.retry_message(delivery, effects)?,
        }
        Ok(Applied::landed(contact))
    }

    /// The delivery of a message in a contact's conversation: as the engine has it, as it left it in this batch, or as it is stored.
    fn delivery_in(
        &self,
        contact: ContactId,
        message: MessageId,
        stored: Option<&Delivery>,
        effects: &Effects,
    ) -> Result<Delivery, Refusal> {
        let contact = self.contact(contact)?;
        let known = self.deliveries.get(&message).or_else(|| effects.deliveries.get(&message)).or(stored);
        let is_its = |delivery: &&Delivery| {
            delivery.message == message
                && delivery.administration == contact.administration
                && delivery.conversation == contact.conversation
        };
        known.filter(is_its).cloned().ok_or(Refusal::NotFound)
    }

    /// An operator wants a failed message tried again, at once. What is on its way or has arrived is not, and what nobody knows
    /// the end of not before somebody has said that it did not arrive.
    fn retry_message(&mut self, mut delivery: Delivery, effects: &mut Effects) -> Result<(), Refusal> {
        if !delivery.channel.has_sender() {
            return Err(Refusal::NoReplyChannel);
        }
        match delivery.state {
            DeliveryState::Queued => {}
            DeliveryState::Failed | DeliveryState::Bounced => {
                // above every attempt that can have been made, so that no report of an old one is taken for this one's
                let above = u32::try_from(RETRIES.len()).unwrap_or(u32::MAX) + u32::try_from(self.seq & 0x3fff_ffff).unwrap_or(0);
                delivery.attempts = delivery.attempts.max(above);
                (delivery.failure, delivery.settled) = (None, None);
            }
            _ => return Err(Refusal::WrongState),
        }
        self.order_attempt(delivery, effects);
        Ok(())
    }

    /// Who answers for the contact says how an attempt of unknown outcome ended. Nothing is sent by that.
    fn settle_message(
        &mut self,
        mut delivery: Delivery,
        operator: OperatorId,
        arrived: bool,
        effects: &mut Effects,
    ) -> Result<(), Refusal> {
        if delivery.state != DeliveryState::Unknown {
            return Err(Refusal::WrongState);
        }
        delivery.settled = Some(Settled { operator, at: self.now });
        (delivery.state, delivery.failure) = match arrived {
            true => (DeliveryState::Delivered, None),
            false => (DeliveryState::Failed, Some(NOT_ARRIVED.to_owned())),
        };
        self.tell_delivery(&delivery, effects, EventBody::MessageSettled { message: delivery.message, operator, arrived });
        self.keep_delivery(delivery, effects);
        Ok(())
    }
}
