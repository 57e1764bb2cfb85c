"""The day's visits: one for each thing that can become of an encounter between its charges and its claim."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from conformance.hospital import LAKESIDE, LINDGREN, MARCHETTI, MEDICARE, OKAFOR, PRAIRIE, Item, Note, Person, Visit, at

EXPERIENCED = "rmendes"
NEW_CODER = "tvolkov"


def _note(visit: str, text: str, *, kind: str = "PR", loinc: str = "11506-3", title: str = "Progress note") -> Note:
    return Note(f"{visit}-N1", kind, loinc, title, text)


def routine(today: date) -> Visit:
    """An office visit that nothing stops."""
    began = at(today - timedelta(days=2), 9, 10)
    return Visit(
        number="V4100231",
        account="A7700231",
        person=Person("M100231", "ABERNATHY", "JUNE", date(1951, 3, 14), "F", "812 ALDER ST", "627021034"),
        clinician=OKAFOR,
        insurance=MEDICARE,
        patient_class="O",
        began=began,
        ended=began + timedelta(minutes=35),
        location="CLINIC-A",
        place_of_service="11",
        working=("I10",),
        diagnoses=("I10", "E785"),
        items=(
            Item("99213", Decimal("168.00"), ("I10", "E785")),
            Item("36415", Decimal("12.50"), ("E785",)),
        ),
        coder=EXPERIENCED,
        notes=(
            _note(
                "V4100231",
                "Blood pressure 148/86, repeated 144/84. Known hypertension, taking lisinopril 10 mg daily.\n"
                "Hyperlipidaemia: lipid panel drawn today. Lisinopril raised to 20 mg. Return in six weeks.",
            ),
        ),
    )


def over_fhir(today: date) -> Visit:
    """A hospital outpatient visit that the EHR sends as FHIR resources."""
    began = at(today - timedelta(days=3), 13, 5)
    return Visit(
        number="V4100246",
        account="A7700246",
        person=Person("M100246", "CASTELLANO", "RUI", date(1978, 11, 2), "M", "44 QUARRY RD APT 3", "627031120"),
        clinician=LINDGREN,
        insurance=PRAIRIE,
        patient_class="O",
        began=began,
        ended=began + timedelta(hours=2),
        location="RAD-2",
        place_of_service="22",
        diagnoses=("J189",),
        items=(
            Item("71046", Decimal("318.00"), ("J189",), revenue="0324"),
            Item("80053", Decimal("96.40"), ("J189",), revenue="0301"),
        ),
        coder=EXPERIENCED,
        notes=(
            _note(
                "V4100246",
                "Cough and fever for four days, oxygen saturation 95 % on room air, crackles at the right base.\n"
                "Chest film, two views: right lower lobe consolidation. Assessment: pneumonia. Oral antibiotics.",
            ),
        ),
    )


def high_value(today: date) -> Visit:
    """A surgeon's claim whose total asks for a second pair of eyes."""
    began = at(today - timedelta(days=5), 6, 30)
    return Visit(
        number="V4100258",
        account="A7700258",
        person=Person("M100258", "HALVORSEN", "BRIT", date(1949, 7, 21), "F", "9 MILL LANE", "627041876"),
        clinician=MARCHETTI,
        insurance=MEDICARE,
        patient_class="I",
        began=began,
        ended=at(today - timedelta(days=3), 11, 20),
        location="ORTHO-5",
        place_of_service="21",
        working=("M1711",),
        diagnoses=("M1711", "I10"),
        items=(Item("27447", Decimal("14850.00"), ("M1711",), modifiers=("RT",)),),
        coder=EXPERIENCED,
        notes=(
            _note(
                "V4100258",
                "Right knee: bone-on-bone medial compartment, varus of 8 degrees. Total knee replacement, right,\n"
                "under spinal anaesthesia. Cemented components, patella resurfaced. Estimated blood loss 150 mL.",
                kind="OP",
                loinc="11504-8",
                title="Operative note",
            ),
            Note(
                "V4100258-N2",
                "DS",
                "18842-5",
                "Discharge summary",
                "Primary osteoarthritis of the right knee, after total knee replacement. Hypertension, controlled.\n"
                "Walking with a frame on day 2. Discharged home with outpatient physiotherapy.",
            ),
        ),
    )


def wrong_code(today: date) -> Visit:
    """A visit whose encoder first returns a category where a code is needed."""
    began = at(today - timedelta(days=2), 10, 45)
    return Visit(
        number="V4100263",
        account="A7700263",
        person=Person("M100263", "NDIAYE", "AWA", date(1966, 1, 30), "F", "2310 PRAIRIE AVE", "627023345"),
        clinician=OKAFOR,
        insurance=LAKESIDE,
        patient_class="O",
        began=began,
        ended=began + timedelta(minutes=30),
        location="CLINIC-A",
        place_of_service="11",
        diagnoses=("E119",),
        items=(Item("99214", Decimal("246.00"), ("E119",)),),
        coder=EXPERIENCED,
        notes=(
            _note(
                "V4100263",
                "Type 2 diabetes, no complications found: foot examination normal, no albuminuria. HbA1c 7.1 %.\n"
                "Metformin continued. Eye examination is booked.",
            ),
        ),
    )


def new_coder(today: date) -> Visit:
    """A visit coded by someone in the first weeks, whom the policy has reviewed."""
    began = at(today - timedelta(days=2), 15, 20)
    return Visit(
        number="V4100270",
        account="A7700270",
        person=Person("M100270", "PETRAKIS", "ELENI", date(1990, 5, 6), "F", "18 HARBOR CT", "627040912"),
        clinician=OKAFOR,
        insurance=LAKESIDE,
        patient_class="O",
        began=began,
        ended=began + timedelta(minutes=25),
        location="CLINIC-B",
        place_of_service="11",
        diagnoses=("N390",),
        items=(
            Item("99213", Decimal("168.00"), ("N390",)),
            Item("81003", Decimal("14.00"), ("N390",)),
        ),
        coder=NEW_CODER,
        notes=(
            _note(
                "V4100270",
                "Dysuria and frequency for two days, no fever. Dipstick: nitrite and leukocyte esterase positive.\n"
                "Culture of the sample taken last week elsewhere: E. coli, sensitive. Urinary tract infection.",
            ),
        ),
    )


def missing_note(today: date) -> Visit:
    """An emergency visit that is charged and coded before its note is signed."""
    began = at(today - timedelta(days=1), 2, 15)
    return Visit(
        number="V4100284",
        account="A7700284",
        person=Person("M100284", "WOJCIK", "TOMASZ", date(1984, 9, 17), "M", "701 FOUNDRY ST", "627031188"),
        clinician=LINDGREN,
        insurance=LAKESIDE,
        patient_class="E",
        began=began,
        ended=began + timedelta(hours=3),
        location="ED-4",
        place_of_service="23",
        diagnoses=("S61411A",),
        items=(
            Item("99283", Decimal("412.00"), ("S61411A",), modifiers=("25",)),
            Item("12001", Decimal("365.00"), ("S61411A",)),
        ),
        coder=EXPERIENCED,
        notes=(
            _note(
                "V4100284",
                "Laceration of the right palm, 2 cm, clean, from a kitchen knife. No tendon or nerve deficit.\n"
                "Closed as in the procedure note. Tetanus is up to date. Sutures out in ten days.",
                kind="ED",
                loinc="34111-5",
                title="Emergency department note",
            ),
            Note(
                "V4100284-N2",
                "PN",
                "28570-0",
                "Procedure note",
                "Local anaesthesia, irrigation with 250 mL saline. Simple closure, three interrupted sutures.",
            ),
        ),
    )


def unclear_record(today: date) -> Visit:
    """An inpatient stay whose record names a condition without saying which kind: the provider must be asked."""
    began = at(today - timedelta(days=4), 19, 40)
    return Visit(
        number="V4100295",
        account="A7700295",
        person=Person("M100295", "OYELARAN", "FOLAKE", date(1944, 12, 9), "F", "56 ORCHARD HILL", "627025567"),
        clinician=LINDGREN,
        insurance=MEDICARE,
        patient_class="I",
        began=began,
        ended=at(today - timedelta(days=1), 10, 0),
        location="MED-3",
        place_of_service="21",
        working=("I509",),
        diagnoses=("I110", "I5023"),
        items=(
            Item("99223", Decimal("592.00"), ("I5023",)),
            Item("99233", Decimal("318.00"), ("I5023",), units=1, day=1),
            Item("99233", Decimal("318.00"), ("I5023",), units=1, day=2),
        ),
        coder=EXPERIENCED,
        notes=(
            Note(
                "V4100295-N1",
                "DS",
                "18842-5",
                "Discharge summary",
                "Admitted with dyspnoea at rest and 5 kg weight gain. BNP 1,840 pg/mL. Echocardiogram:\n"
                "ejection fraction 30 %, known from 2023. IV furosemide 40 mg twice daily, 4.2 L net negative.\n"
                "Heart failure, hypertension.",
            ),
            Note(
                "V4100295-N2",
                "HP",
                "34117-2",
                "History and physical",
                "Dyspnoea at rest for three days, orthopnoea. Crackles to mid-zones, oedema to the knees.",
            ),
        ),
    )


def corrected(today: date) -> Visit:
    """An emergency visit that the EHR ends too early, and whose second charge first has an account of its own."""
    began = at(today - timedelta(days=1), 8, 0)
    return Visit(
        number="V4100312",
        account="A7700312",
        person=Person("M100312", "SZABO", "ILONA", date(1972, 4, 8), "F", "77 CANAL ST", "627010044"),
        clinician=LINDGREN,
        insurance=LAKESIDE,
        patient_class="E",
        began=began,
        ended=began + timedelta(hours=5),
        location="ED-2",
        place_of_service="23",
        diagnoses=("R002",),
        items=(
            Item("99283", Decimal("412.00"), ("R002",), modifiers=("25",)),
            Item("93000", Decimal("58.00"), ("R002",)),
        ),
        coder=EXPERIENCED,
        notes=(
            _note(
                "V4100312",
                "Palpitations for a week, no syncope. Pulse 88, regular. Electrocardiogram with interpretation:\n"
                "sinus rhythm, no ectopy. Observed for four hours, no event. Discharged home.",
                kind="ED",
                loinc="34111-5",
                title="Emergency department note",
            ),
        ),
    )


def locally_coded(today: date) -> Visit:
    """A visit one of whose charges comes with the charge master's number alone."""
    began = at(today - timedelta(days=1), 11, 15)
    return Visit(
        number="V4100327",
        account="A7700327",
        person=Person("M100327", "MBEKI", "THANDI", date(1959, 10, 23), "F", "3 STATION RD", "627020071"),
        clinician=OKAFOR,
        insurance=LAKESIDE,
        patient_class="O",
        began=began,
        ended=began + timedelta(minutes=40),
        location="CLINIC-A",
        place_of_service="11",
        diagnoses=("E039",),
        items=(
            Item("99213", Decimal("168.00"), ("E039",)),
            Item("84443", Decimal("41.00"), ("E039",), local="4010077"),
        ),
        coder=EXPERIENCED,
        notes=(
            _note(
                "V4100327",
                "Hypothyroidism, tired again for a month. Weight up 2 kg, skin dry. TSH measured here: 9.8 mIU/L.\n"
                "Levothyroxine raised from 75 to 100 micrograms. TSH again in eight weeks.",
            ),
        ),
    )


def submitted(today: date) -> Visit:
    """A hospital outpatient visit whose claim the EHR submits, and asks what became of it."""
    began = at(today - timedelta(days=2), 8, 40)
    return Visit(
        number="V4100331",
        account="A7700331",
        person=Person("M100331", "HALVORSEN", "INGRID", date(1959, 7, 19), "F", "18 HARBOR LN", "627024410"),
        clinician=OKAFOR,
        insurance=LAKESIDE,
        patient_class="O",
        began=began,
        ended=began + timedelta(hours=1),
        location="CARD-1",
        place_of_service="22",
        diagnoses=("I4891",),
        items=(Item("93000", Decimal("142.00"), ("I4891",), revenue="0730"),),
        coder=EXPERIENCED,
        notes=(
            _note(
                "V4100331",
                "Palpitations since last evening. Pulse irregularly irregular, 88 a minute; blood pressure 134/82.\n"
                "Electrocardiogram: atrial fibrillation, no acute ischaemia. Assessment: atrial fibrillation.",
            ),
        ),
    )


def at_the_clinic(today: date) -> Visit:
    """A visit at a clinic whose EHR sends nothing: its FHIR server is searched for what changed."""
    began = at(today - timedelta(days=2), 15, 10)
    return Visit(
        number="V4100348",
        account="A7700348",
        person=Person("M100348", "OYELARAN", "FEMI", date(1990, 4, 3), "M", "701 MILL ST", "627039921"),
        clinician=MARCHETTI,
        insurance=PRAIRIE,
        patient_class="O",
        began=began,
        ended=began + timedelta(hours=1),
        location="ORTH-2",
        place_of_service="22",
        diagnoses=("S93401A",),
        items=(Item("73610", Decimal("205.50"), ("S93401A",), revenue="0320"),),
        coder=EXPERIENCED,
        notes=(
            _note(
                "V4100348",
                "Right ankle turned while running; swelling over the lateral malleolus, tender, joint stable.\n"
                "Film, three views: no fracture. Assessment: sprain of the right ankle. Splint, ice, elevation.",
            ),
        ),
    )
