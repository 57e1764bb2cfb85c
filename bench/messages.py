"""The message that speed is measured with: a DFT^P03 of about 2.8 KB, 39 segments, each one for a visit of its own."""

from __future__ import annotations

_CHARGE = (
    "FT1|{n}|{account}-{n}|{account}|20260302083000^20260302083000|20260302190000|CG|{local}^LOCAL CHARGE^CDM|||1"
    "|{amount}|{amount}|CARD||||||I25.10^^I10~R07.9^^I10|1093817462^GRAY^ELLEN^^^^MD^^NPI|||||{cpt}^^C4|25"
)
_PROCEDURES = ("99284", "93005", "71046", "80053", "85025", "84484", "36415", "96374")


def dft(number: int) -> bytes:
    """Message `number`: its own control id, account and visit; about 90 values that the mapping reads."""
    account = f"HB{number:09d}"
    segments = [
        f"MSH|^~\\&|EPIC|GENERAL|GATEWAY|BILLING|20260302193000||DFT^P03^DFT_P03|C{number:010d}|P|2.5.1",
        "EVN|P03|20260302193000|||CLERK1",
        f"PID|1||M{number:08d}^^^GENERAL^MR||TESTER^ALPHA^Q||19610417|F|||12 ELM ST^^SPRINGFIELD^IL^62701||2175550142"
        f"|||M||{account}^^^HAR^AN",
        f"PV1|1|E|ED^12^A|||||1093817462^GRAY^ELLEN^^^^MD^^NPI|||||||||||V{number:09d}^^^EPIC^VN|||||||||||||||||01"
        "||||||||20260302080000|20260302140000",
    ]
    for position, (code, name) in enumerate((("I25.10", "A"), ("R07.9", "W"), ("E11.9", "F"), ("I10", "F")), start=1):
        segments.append(f"DG1|{position}||{code}^^I10||20260302|{name}")
    segments.append("GT1|1||TESTER^ALPHA^Q||12 ELM ST^^SPRINGFIELD^IL^62701|2175550142||19610417|F||SEL")
    segments.append(
        "IN1|1|PPO1|60054|AETNA|PO BOX 1^^EL PASO^TX^79998||||G100|||||||TESTER^ALPHA^Q|SEL|19610417"
        f"|12 ELM ST^^SPRINGFIELD^IL^62701||||||||||||||||||W{number:09d}"
    )
    for n in range(1, 9):
        cpt = _PROCEDURES[(number + n) % len(_PROCEDURES)]
        segments.append(_CHARGE.format(n=n, account=account, local=f"4{n:05d}", amount=f"{100 + n}.50", cpt=cpt))
    segments.extend(f"NTE|{n}|L|POSTED BY INTERFACE" for n in range(1, 22))
    return "\r".join(segments).encode() + b"\r"
