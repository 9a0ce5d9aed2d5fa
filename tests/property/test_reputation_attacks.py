"""What the page about reputation says of attacks is what they come to."""

from __future__ import annotations

from tests.property.reputation_attacks import Row, ring, table, wash_sales, written


def test_the_table_of_attacks_is_what_they_come_to() -> None:
    """E6: `python -m tests.property.reputation_attacks` renews it."""
    assert written() == table()


def test_wash_sales_inside_one_organization_gain_exactly_nothing() -> None:
    row = wash_sales()
    assert (row.after, row.confidence) == (500_000, 0)
    assert row.burnt > 0


def test_a_ring_within_four_organizations_pays_more_for_a_point_than_all_of_it_is_worth() -> None:
    for members in (2, 3, 4):
        row: Row = ring(members)
        assert row.after < 510_000
        assert row.burnt > 90_000_000 * members
