//! Faults of the files of invitations, logged once and not at every look.

use std::collections::BTreeSet;
use std::io;

use countersign_protocol::invitation::InvitationId;

use super::Swept;

/// The faults that were logged last.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    folder: Option<String>,
    files: BTreeSet<InvitationId>,
}

impl Complaints {
    /// The complaints about this look that were not made about the one before.
    pub(super) fn about(&mut self, swept: &io::Result<Swept>) -> Vec<String> {
        let swept = match swept {
            Ok(swept) => swept,
            Err(error) => {
                let complaint = format!(
                    "the invitations cannot be read ({error}), and nobody joins; check that the folder `invitations` in the data directory belongs to the coordinator's user"
                );
                let is_new = self.folder.as_ref() != Some(&complaint);
                self.folder = Some(complaint.clone());
                return is_new.then_some(complaint).into_iter().collect();
            }
        };
        self.folder = None;
        let news = swept
            .unreadable
            .iter()
            .filter(|(id, _)| !self.files.contains(id));
        let news = news.map(|(id, error)| {
            format!(
                "the invitation {id} cannot be read ({error}), so its token is not accepted; run `invite` as the coordinator's user, and revoke this one"
            )
        });
        let news = news.collect();
        self.files = swept.unreadable.iter().map(|(id, _)| *id).collect();
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unreadable(ids: &[u8]) -> io::Result<Swept> {
        let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
        let unreadable = ids.iter().map(|id| (InvitationId([*id; 16]), denied()));
        Ok(Swept {
            until: None,
            unreadable: unreadable.collect(),
        })
    }

    #[test]
    fn a_file_or_folder_that_cannot_be_read_is_told_of_once_until_it_changes() {
        let mut complaints = Complaints::default();
        let mut said = |swept: io::Result<Swept>| complaints.about(&swept).len();
        let folder = |kind: io::ErrorKind| Err(kind.into());
        let denied = || folder(io::ErrorKind::PermissionDenied);
        let full = || folder(io::ErrorKind::StorageFull);
        assert_eq!([said(denied()), said(denied()), said(full())], [1, 0, 1]);
        let looks = [&[1, 2][..], &[1, 2], &[1, 2, 3], &[], &[2]];
        assert_eq!(looks.map(|ids| said(unreadable(ids))), [2, 0, 1, 0, 1]);
        assert_eq!(said(full()), 1, "it was well in between");
    }
}
