//! The guests' seats at the hub. They are few, and one that says nothing gives its own to whoever
//! comes next.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The seats, each with the connection of its guest.
#[derive(Debug)]
pub(crate) struct Seats<C> {
    most: usize,
    taken: Mutex<Taken<C>>,
}

#[derive(Debug)]
struct Taken<C> {
    /// Number of the next guest.
    next: u64,
    /// In order of arrival.
    guests: Vec<Guest<C>>,
}

#[derive(Debug)]
struct Guest<C> {
    number: u64,
    connection: C,
    claim: Claim,
}

/// A guest's claim to its seat. Whoever has the least gives way first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Claim {
    /// It has its answer.
    Over,
    /// It has shown nothing yet.
    Silent,
    /// It has shown something that is looked at, or that was good.
    Heard,
}

/// A seat while its guest is here. Dropping it frees the seat.
#[derive(Debug)]
pub(crate) struct Sitting<C> {
    seats: Arc<Seats<C>>,
    number: u64,
}

impl<C: Clone> Seats<C> {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        let taken = Taken {
            next: 0,
            guests: Vec::new(),
        };
        Arc::new(Self {
            most,
            taken: Mutex::new(taken),
        })
    }

    /// Gives the guest a seat; `None` if all are taken by guests that were heard. The second value
    /// is the connection of the guest that gives way.
    pub(crate) fn sit(self: &Arc<Self>, connection: C) -> Option<(Sitting<C>, Option<C>)> {
        let mut taken = self.taken();
        let mut gone = None;
        if taken.guests.len() >= self.most {
            // The first of equals has been here longest.
            let weakest = taken.guests.iter().enumerate();
            let weakest = weakest.min_by_key(|(_, guest)| guest.claim);
            let (at, _) = weakest.filter(|(_, guest)| guest.claim < Claim::Heard)?;
            gone = Some(taken.guests.remove(at).connection);
        }
        let number = taken.next;
        taken.next += 1;
        taken.guests.push(Guest {
            number,
            connection,
            claim: Claim::Silent,
        });
        let seats = self.clone();
        Some((Sitting { seats, number }, gone))
    }
}

impl<C> Seats<C> {
    /// No code panics while holding the lock.
    fn taken(&self) -> MutexGuard<'_, Taken<C>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn claim(&self, number: u64, claim: Claim) {
        let mut taken = self.taken();
        let mut guests = taken.guests.iter_mut();
        if let Some(guest) = guests.find(|guest| guest.number == number) {
            guest.claim = claim;
        }
    }
}

impl<C> Sitting<C> {
    /// The claim of its guest, for those who talk with it.
    pub(crate) fn seat(&self) -> Seat
    where
        C: Send + 'static,
    {
        let seats = self.seats.clone();
        let number = self.number;
        Seat(Arc::new(move |claim| seats.claim(number, claim)))
    }
}

impl<C> Drop for Sitting<C> {
    fn drop(&mut self) {
        let mut taken = self.seats.taken();
        taken.guests.retain(|guest| guest.number != self.number);
    }
}

/// A guest's claim to its seat. A guest that was not [heard](Self::heard) gives way to the next
/// one when all seats are taken.
#[derive(Clone)]
pub struct Seat(Arc<dyn Fn(Claim) + Send + Sync>);

impl Seat {
    /// The guest has shown something, and keeps its seat until its time is over.
    pub fn heard(&self) {
        (self.0)(Claim::Heard);
    }

    /// The guest has its answer, and gives way before all others.
    pub fn over(&self) {
        (self.0)(Claim::Over);
    }
}

impl std::fmt::Debug for Seat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seat").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comes(seats: &Arc<Seats<u8>>, guest: u8) -> (Sitting<u8>, Option<u8>) {
        seats.sit(guest).expect("a seat")
    }

    #[test]
    fn the_guest_that_is_silent_longest_gives_way_and_one_that_was_heard_stays() {
        let seats = Seats::new(3);
        let (one, _) = comes(&seats, 1);
        let (_two, _) = comes(&seats, 2);
        let (_three, gone) = comes(&seats, 3);
        assert_eq!(gone, None);
        one.seat().heard();
        let (_four, gone) = comes(&seats, 4);
        assert_eq!(gone, Some(2));
        let (_five, gone) = comes(&seats, 5);
        assert_eq!(gone, Some(3));
    }

    #[test]
    fn a_guest_that_has_its_answer_gives_way_before_those_that_are_silent() {
        let seats = Seats::new(2);
        let (_silent, _) = comes(&seats, 1);
        let (answered, _) = comes(&seats, 2);
        answered.seat().heard();
        answered.seat().over();
        assert_eq!(comes(&seats, 3).1, Some(2));
    }

    #[test]
    fn while_all_guests_were_heard_nobody_else_has_a_seat_until_one_leaves() {
        let seats = Seats::new(2);
        let mut here: Vec<_> = [1, 2].map(|guest| comes(&seats, guest).0).into();
        here.iter().for_each(|guest| guest.seat().heard());
        assert!(seats.sit(3).is_none());
        here.remove(0);
        assert_eq!(comes(&seats, 4).1, None);
    }

    #[test]
    fn a_guest_that_gave_way_takes_nobody_elses_seat_when_it_leaves() {
        let seats = Seats::new(1);
        let (first, _) = comes(&seats, 1);
        let (second, gone) = comes(&seats, 2);
        assert_eq!(gone, Some(1));
        first.seat().heard();
        drop(first);
        second.seat().heard();
        assert!(seats.sit(3).is_none());
    }
}
