"""Whether others may have taken a worker for dead (R-091)."""

import time

from horsies_worker.contact import Contact

LONG_AGO_S = 100.0


def test_contact_that_was_lost_stays_lost_until_all_is_given_back() -> None:
    """R-091: a heartbeat that is answered at last does not make good what may have happened before."""
    contact = Contact(LONG_AGO_S)
    contact.answered(time.monotonic() - 2 * LONG_AGO_S)
    assert contact.is_silent
    assert contact.is_lost
    contact.answered(time.monotonic())
    assert not contact.is_silent
    assert contact.is_lost
    contact.answered(time.monotonic())
    assert contact.is_lost
    contact.restored()
    assert not contact.is_lost


def test_heartbeats_in_time_keep_it() -> None:
    """R-091."""
    contact = Contact(LONG_AGO_S)
    for ago in (90, 50, 1):
        contact.answered(time.monotonic() - ago)
        assert not contact.is_lost
