"""Dates in a known order and in `strptime` formats, against `strptime` itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import example, given, settings
from hypothesis import strategies as st

from importer.convert.arrays import ConversionError
from importer.convert.datetimes import TimeForm, TimeReader
from tests.unit.convert.building import outcomes, strings
from tests.unit.convert.moments import digits, moments, written

day_orders = {"dmy": "%d{0}%m{0}%Y", "mdy": "%m{0}%d{0}%Y", "ymd": "%Y{0}%m{0}%d"}
clocks = [
    "",
    " %H:%M",
    "T%H:%M:%S",
    ", %H:%M:%S.%f",
    " %I:%M %p",
    "  %I:%M:%S%p",
    " %H:%M:%S %z",
    " %H:%MZ",
    " %H:%M CEST",
    " %I:%M %p PDT",
    " %H:%M Etc/GMT-3",
]
dates_of_digits = st.builds(
    lambda parts, signs, clock: f"{parts[0]}{signs[0]}{parts[1]}{signs[1]}{parts[2]}{clock}",
    st.tuples(*[st.sampled_from(["1", "07", "12", "13", "29", "31", "02", "2", "00", "68", "69", "2023", "2024"])] * 3),
    st.sampled_from(["..", "//", "--", "./", "..", ". . ", ""]).map(
        lambda text: (text[: len(text) // 2], text[len(text) // 2 :])
    ),
    st.sampled_from(
        [
            "",
            " 8:15",
            "T08:15:59",
            ", 8:15 PM",
            " 0:15 am",
            " 12:00\u202fp.m.",
            " 13:00 PM",
            " 8:15:00.1234567",
            " 24:00",
            " 8:15 +0200",
            " 8:15 GMT",
            " 8:15Z",
            " 8:15:60",
            " PM",
            " 8:15 CET",
            " 8:15 IST",
            " 8",
            " 08:15 -05",
        ]
    ),
)


@settings(deadline=None)
@given(
    st.lists(dates_of_digits | digits, min_size=1, max_size=8),
    st.lists(st.sampled_from(["dmy", "mdy", "ymd"]), max_size=2),
)
def test_a_whole_column_of_digits_reads_like_each_of_its_texts(texts: list[str], forms: list[str]) -> None:
    """The fast path against the slow one."""
    reader = TimeReader(TimeForm(tuple(forms)))
    slow = [reader.read(text) for text in texts]
    assert outcomes(reader(strings(texts))) == [one if isinstance(one, ConversionError) else one.text for one in slow]


fixed_zones = {name: timezone(timedelta(hours=hours)) for name, hours in (("CEST", 2), ("PDT", -7), ("Etc/GMT-3", 3))}


@settings(deadline=None)  # the first name of a zone takes its time
@given(
    st.lists(moments, min_size=1, max_size=10),
    st.sampled_from(sorted(day_orders)),
    st.sampled_from("./-"),
    st.lists(st.sampled_from(clocks), min_size=1, max_size=3),
    st.booleans(),
)
def test_orders_read_what_they_write(
    times: list[datetime], order: str, sign: str, forms: list[str], full: bool
) -> None:
    """As `strptime` does with the whole format; with zeros in front of parts or without."""
    reader, texts, expected = TimeReader(TimeForm((order,))), [], []
    for place, time in enumerate(times):
        clock = forms[place % len(forms)]
        date = time.strftime(day_orders[order].replace("%Y", f"{time.year:04}").format(sign))
        if not full and time.year > 999:
            date = date.replace(f"{sign}0", sign).removeprefix("0")
        text = date + time.replace(tzinfo=time.tzinfo or UTC).strftime(clock)
        texts.append(text)
        name = clock.rpartition(" ")[2]
        if name in fixed_zones:
            text, clock = text.removesuffix(name), clock.removesuffix(name)
        parsed = datetime.strptime(text.rstrip(), (day_orders[order].format(sign) + clock).rstrip().replace("Z", "%z"))
        parsed = parsed.replace(tzinfo=fixed_zones.get(name, parsed.tzinfo))
        expected.append(written(parsed, "T"))
    assert outcomes(reader(strings(texts))) == expected


FORMATS = [
    "%d.%m.%Y",
    "%d.%m.%Y %H:%M",
    "%m/%d/%Y %H:%M:%S",
    "%Y%m%d",
    "%Y%m%d%H%M%S",
    "%d%m%Y",
    "%Y-%m-%d",
    "%H:%M %d/%m/%Y",
]


@given(st.lists(st.datetimes(datetime(1, 1, 1)), min_size=1), st.sampled_from(FORMATS))
def test_formats_read_what_they_write(times: list[datetime], form: str) -> None:
    texts = [time.strftime(form.replace("%Y", f"{time.year:04}")) for time in times]
    made = TimeReader(TimeForm((form,)))(strings(texts))
    assert made.values.to_pylist() == [datetime.strptime(text, form).isoformat() for text in texts]


@given(st.lists(digits, min_size=1, max_size=30), st.sampled_from(FORMATS))
@example(["1.2.2024", "01.02.2024", " 1.2.2024", "1.2.24", "31.11.2024"], "%d.%m.%Y")
@example(["112024", "1112024", "01112024", "0111202"], "%d%m%Y")
def test_formats_agree_with_strptime(texts: list[str], form: str) -> None:
    def by_strptime(text: str) -> str | ConversionError:
        try:
            return datetime.strptime(text, form).isoformat()
        except ValueError:
            return ConversionError.NOT_A_DATE

    assert outcomes(TimeReader(TimeForm((form,)))(strings(texts))) == [by_strptime(text) for text in texts]
