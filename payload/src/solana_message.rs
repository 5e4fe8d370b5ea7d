//! The layout of a Solana message, legacy and version 0, parsed here: the official crate parses
//! it through `bincode`, which is banned, or brings a decoder of its own, and the layout is
//! small and public (<https://solana.com/docs/core/transactions>).

/// A structurally valid message. [`Message::check`] validates its indices.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    pub(crate) required_signatures: u8,
    pub(crate) readonly_signed: u8,
    pub(crate) readonly_unsigned: u8,
    pub(crate) keys: Vec<&'a [u8; 32]>,
    pub(crate) instructions: Vec<Instruction<'a>>,
    pub(crate) lookups: Vec<Lookup<'a>>,
}

/// An instruction; `program` and `accounts` are indices into the list of accounts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Instruction<'a> {
    pub(crate) program: u8,
    pub(crate) accounts: &'a [u8],
    pub(crate) data: &'a [u8],
}

/// Accounts that a table on the chain names: writable ones, then read-only ones.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Lookup<'a> {
    pub(crate) table: &'a [u8; 32],
    pub(crate) writable: &'a [u8],
    pub(crate) readonly: &'a [u8],
}

/// An account that an instruction names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Account<'a> {
    Known(&'a [u8; 32]),
    /// Entry `index` of a table, whose content only the chain knows.
    Looked {
        table: &'a [u8; 32],
        index: u8,
    },
}

impl<'a> Message<'a> {
    /// Parses all of `bytes`. `None` if they are not a message of these versions.
    pub(crate) fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = Rest(bytes);
        let first = rest.byte()?;
        let (versioned, required_signatures) = match first {
            0x80 => (true, rest.byte()?),
            0x81.. => return None,
            count => (false, count),
        };
        let readonly_signed = rest.byte()?;
        let readonly_unsigned = rest.byte()?;
        let key_count = rest.length()?;
        let keys = rest.many(key_count, |rest| rest.array())?;
        rest.array::<32>()?; // recent blockhash
        let instruction_count = rest.length()?;
        let instructions = rest.many(instruction_count, |rest| {
            Some(Instruction {
                program: rest.byte()?,
                accounts: rest.sized()?,
                data: rest.sized()?,
            })
        })?;
        let lookup_count = if versioned { rest.length()? } else { 0 };
        let lookups = rest.many(lookup_count, |rest| {
            Some(Lookup {
                table: rest.array()?,
                writable: rest.sized()?,
                readonly: rest.sized()?,
            })
        })?;
        let message = Message {
            required_signatures,
            readonly_signed,
            readonly_unsigned,
            keys,
            instructions,
            lookups,
        };
        rest.0.is_empty().then_some(message)
    }

    /// The rules by which validators refuse a message at once (`sanitize`).
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        let signed = usize::from(self.required_signatures);
        let keys = self.keys.len();
        if signed == 0 || self.readonly_signed >= self.required_signatures {
            return Err("no signer pays the fee");
        }
        if signed + usize::from(self.readonly_unsigned) > keys {
            return Err("its header counts more accounts than there are");
        }
        let looked: usize = self
            .lookups
            .iter()
            .map(|lookup| lookup.writable.len() + lookup.readonly.len())
            .sum();
        if keys + looked > 256 {
            return Err("it names more than 256 accounts");
        }
        if (1..keys).any(|index| self.keys[..index].contains(&self.keys[index])) {
            return Err("it names an account twice");
        }
        for instruction in &self.instructions {
            // Programs are never looked up, and the payer is not a program.
            if instruction.program == 0 || usize::from(instruction.program) >= keys {
                return Err("an instruction names no program");
            }
            if instruction
                .accounts
                .iter()
                .any(|index| usize::from(*index) >= keys + looked)
            {
                return Err("an instruction names an account that is not there");
            }
        }
        if self
            .lookups
            .iter()
            .any(|lookup| lookup.writable.is_empty() && lookup.readonly.is_empty())
        {
            Err("it names a table and takes nothing from it")
        } else {
            Ok(())
        }
    }

    /// The account at an index: static ones, then writable look-ups, then read-only look-ups.
    pub(crate) fn account(&self, place: usize) -> Option<Account<'a>> {
        if let Some(key) = self.keys.get(place) {
            return Some(Account::Known(key));
        }
        let writable = self
            .lookups
            .iter()
            .map(|lookup| (lookup.table, lookup.writable));
        let readonly = self
            .lookups
            .iter()
            .map(|lookup| (lookup.table, lookup.readonly));
        let mut looked = place - self.keys.len();
        for (table, indices) in writable.chain(readonly) {
            match indices.get(looked) {
                Some(index) => {
                    return Some(Account::Looked {
                        table,
                        index: *index,
                    });
                }
                None => looked -= indices.len(),
            }
        }
        None
    }
}

/// The bytes still to be read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| *byte)
    }

    fn array<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(array)
    }

    /// Reads bytes preceded by their number.
    fn sized(&mut self) -> Option<&'a [u8]> {
        let length = self.length()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    fn many<T>(
        &mut self,
        count: usize,
        mut read: impl FnMut(&mut Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        (0..count).map(|_| read(self)).collect()
    }

    /// Reads a 16-bit number in groups of seven bits, low ones first, in its shortest form.
    fn length(&mut self) -> Option<usize> {
        let mut number = 0;
        for shift in [0, 7, 14] {
            let byte = self.byte()?;
            number |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                let shortest = shift == 0 || byte != 0;
                return (shortest && number <= usize::from(u16::MAX)).then_some(number);
            }
        }
        None
    }
}
