"""Where trackers' fixes come in: one file for each protocol, and the steps that all of them share.

    decode        osmand.py, owntracks.py, batch.py: bytes of a protocol become `Fix`es, in the hub's units
    authenticate  devices.py: a key says which device it is; no key, no row
    validate      fixes.py: what is no place, no time, no number is refused, by the name that the sender gave it
    hold back     devices.py: a device sends so many a second, and many at once after a dead zone
    quarantine    fixes.py: what cannot be true but may mean something is put aside; what is doubtful is kept, and
                  says so
    place in a ward
                  wards.py: by squares that a worker knows, and by the outlines where those do not tell
    deduplicate, store, announce
                  taking.py, and `take_fixes()` of migration 0022: many senders' fixes in one commit

An answer that says "stored" is sent after the commit.
"""
