"""What may stay of the words that people type: structures, descriptions of series, makers and models.

Everything here is a list of what is allowed. A word that is on no list is gone, whatever it was, so a misspelt organ is
lost rather than a misspelt name kept. Every function gives its own output back unchanged.
"""

import re
import unicodedata
from functools import lru_cache

__all__ = ["DESCRIPTOR_WORDS", "STRUCTURES", "descriptor", "maker", "model", "sequence_name", "structure"]

_TARGETS = {"gtv": "GTV", "ctv": "CTV", "ptv": "PTV", "itv": "ITV"}
_ORGANS = {
    "BODY": "body external externe skin peau contour",
    "Bone": "bone skull os crane",
    "Brain": "brain cerveau encephale encephalon",
    "Brainstem": "brainstem tronc stem troncerebral",
    "Cerebellum": "cerebellum cervelet",
    "Chiasm": "chiasm chiasma opticchiasm",
    "Cochlea": "cochlea cochlee",
    "Cornea": "cornea cornee",
    "Couch": "couch table",
    "Edema": "edema oedema oedeme",
    "Eye": "eye eyes oeil yeux globe globes eyeball",
    "Hippocampus": "hippocampus hippocampe hippocampi",
    "Hypothalamus": "hypothalamus",
    "Lacrimal": "lacrimal lacrymale lachrymal glndlacrimal lacrimalgland",
    "Lens": "lens lenses cristallin",
    "Mask": "masque mask",
    "OpticNrv": "opticnrv opticnerve nerf onrv",
    "OpticTract": "optictract",
    "Parotid": "parotid parotide",
    "Pituitary": "pituitary hypophyse hypophysis",
    "Retina": "retina retine",
    "SpinalCord": "spinalcord moelle cord myelon",
    "TemporalLobe": "lobetemporal temporallobe",
    "Ventricles": "ventricle ventricles ventricule ventricules",
    "Cavity": "cavity cavite bed resectioncavity",
    "Tumour": "tumor tumour tumeur",
    "Necrosis": "necrosis necrose",
    "Enhancement": "enhancement enhancing",
    "NETC": "netc",
    "WholeTumour": "wholetumour",
}
_CONCEPTS = {word: name for name, words in _ORGANS.items() for word in words.split()} | {
    word + tail: name for word, name in _TARGETS.items() for tail in ("", "p", "n", "t")
}
_PHRASES = (
    (re.compile(r"\b(?:brain|cerebr\w*) ?stem\b|\btronc(?: cerebral)?\b"), "brainstem"),
    (re.compile(r"\boptic ?(?:chiasma?|chi)\b|\bchiasma? optique\b"), "chiasm"),
    (re.compile(r"\b(?:optic|opt) ?(?:nrv|nerves?|n)\b|\bnerfs? ?(?:optiques?|opt)\b"), "opticnrv"),
    (re.compile(r"\boptic ?tract\b"), "optictract"),
    (re.compile(r"\bspinal ?(?:cord|canal)\b|\bmoelle epiniere\b"), "spinalcord"),
    (re.compile(r"\b(?:lacrimal|glnd lacrimal|lacrymale|glande lacrymale)(?: gland)?\b"), "lacrimal"),
    (re.compile(r"\btemporal ?lobe\b|\blobe ?temporal\b"), "temporallobe"),
    (re.compile(r"\b(?:resection|surgical) cavity\b|\bcavite (?:de resection|operatoire)\b"), "cavity"),
    (re.compile(r"\b(?:non|un) ?enhanc\w*(?: tumou?r)?(?: core)?\b"), "netc"),
    (re.compile(r"\benhanc\w* (?:lesion|tumou?r)(?: core)?\b"), "enhancement"),
    (re.compile(r"\bnecrotic(?: tumou?r)?(?: core)?\b"), "necrosis"),
    (re.compile(r"\b(?:surrounding (?:netc )?flair hyperintensity|peritumou?ral edema)\b"), "edema"),
    (re.compile(r"\btumou?r bed\b"), "cavity"),
    (re.compile(r"\bwhole ?tumou?r\b"), "wholetumour"),
    (re.compile(r"\bgross tumou?r(?: volume)?\b"), "gtv"),
    (re.compile(r"\bnormal brain\b|\bwhole brain\b"), "brain"),
)
_ALONE = {"et": "Enhancement", "rc": "Cavity", "wt": "WholeTumour", "tc": "Tumour", "ncr": "Necrosis", "snfh": "Edema"}
_SIDES = {"l": "_L", "left": "_L", "lt": "_L", "g": "_L", "gauche": "_L"} | dict.fromkeys(
    ("r", "right", "rt", "d", "droit", "droite"), "_R"
)
_DERIVED = re.compile(
    r"\b(?:minus|moins|sub|subtr|ring|anneau|shell|prv|opti|avoid|dummy|not|without|sans|cropped|wall"
    r"|mm|cm|margin|marge|plus|exp|expanded|expansion)\b"
)
_ADDED = re.compile(r"\+\s*[0-9]")
_ON_T2 = re.compile(r"\b(?:flair|t 2|t 2 w)\b")
_SIDED = {
    "Cochlea",
    "Cornea",
    "Eye",
    "Hippocampus",
    "Lacrimal",
    "Lens",
    "OpticNrv",
    "Parotid",
    "Retina",
    "TemporalLobe",
}

_DESCRIPTORS = """
t1 t2 t1w t2w t1wi t2wi t1c t1ce t1gd t2star pd pdw flair tirm stir darkfluid dark fluid fluide adc dwi dti diff
diffusion trace tracew fa b0 b500 b700 b800 b1000 b2000 bold fmri swi swan swip mag phase minip perf perfusion dsc
dce asl pasl pcasl cbv rcbv cbf mtt ttp ktrans spectro mrs csi svs 3d 2d 4d mprage mp2rage rage space cube vista
brainview sampling isotropic iso tse fse frfse se gre ge spgr fspgr efgre efgre3d bravo mpr mpnrage tfe ffe tfl vibe
lava thrive flash fl2d fl3d fiesta ciss trufi bssfp haste ssfse propeller blade ute tof angio venous veno arterial
mra mrv dixon ideal mdixon water fat opp inphase fs fatsat sat spair spir chess ir inversion recovery epi ep2d sense
grappa caipi cs hr hires lowres fast turbo gd gad gado gadolinium gadovist dotarem contrast contraste ce km kontrast
inj injection injecte post pre plus sans avec nach vor without with native nativ natif unenhanced enhanced
postcontrast precontrast postgd pregd c+ iv ax axial axiale tra trans transverse transversal sag sagittal sagittale
cor coronal coronale oblique obl reformat reformatted recon reconstruction mip localizer localiser loc scout survey
topogram calibration calib brain head cerebral cerebrum cerebrale encephale crane neuro skull neck spine whole wb
orbit orbits mr mri irm ct scan scanner cect tdm rm rt planning plan simulation sim dosimetry dosimetrie stereo
stereotactic navigation neuronav treatment radiotherapy radiotherapie follow followup up baseline preop postop
control controle research study protocol routine standard tumor tumour tumeur glioma
gliome glioblastoma glioblastome p2 p3 ns and et mit ohne der map maps ref source orig original derived derivative
registered subtraction sub subtracted dose struct structures structure set beam beams fraction boost photon proton
protons carbon ion ions seg segmentation registration 1.5t 3t 7t medium soft sharp smooth bone h30s h31s h40s aahead
apc clariscan dir eadc injected pca prohance psir qsm smartbrain venobold
"""

STRUCTURES = (
    frozenset(_TARGETS.values()) | frozenset(_ORGANS) | {f"{name}{side}" for name in _SIDED for side in ("_L", "_R")}
)
"""Every name that a structure can have after de-identification; others become `structure 1`, `structure 2`, …"""

DESCRIPTOR_WORDS = frozenset(_DESCRIPTORS.split())
"""Every word that a description of a study, series, protocol or beam can keep, in lower case."""

_GLUED = frozenset(word for word in DESCRIPTOR_WORDS if len(word) > 1)
_REWRITTEN = (
    # a denial that got lost would turn a word into its opposite
    (re.compile(r"\bw/o\b|\bs/(?=[a-z])|(?<![a-z])(?:no|non|nil)(?![a-z])"), " without "),
    (re.compile(r"(?<![a-z0-9])c-(?![a-z0-9])"), " without contrast "),
    # a `post` that has lost what it came after would be taken for `after contrast`
    (re.compile(r"(?<![a-z])(post|pre)[-_. ]?op(?:eratoire|erative)?(?![a-z])"), r" \1op "),
    (re.compile(r"(?<![a-z])(post|pre)[-_. ]*(?:surg|chir|resec|biops|crani)[a-z]*"), r" \1op "),
    (
        re.compile(
            r"(?<![a-z])(post|pre)[-_. ]*(?:radiat[a-z]*|xrt|ch[ei]mi?o[a-z]*|crt|rct|tmz|therap[a-z]*|tx|tt)(?![a-z])"
        ),
        r" \1 treatment ",
    ),
    (re.compile(r"\+c"), " c+ "),
    (re.compile(r"dark-fluid"), "darkfluid"),
    (re.compile(r"t2\*"), " t2star "),
)
_MILLIMETRES = re.compile(r"[0-9](?:\.[0-9])?mm")
_MAKERS_WORDS = """
siemens healthineers healthcare ge medical systems general electric philips toshiba canon hitachi fujifilm uih
united imaging neusoft varian elekta raysearch laboratories brainlab accuray viewray iba mevion tomotherapy nomos
cms computerized inc ltd gmbh ag corporation corp flame plastimatch dcm2niix qiicr highdicom marconi picker esaote
bruker nucletron mim software mirada
"""
_MAKERS = frozenset(_MAKERS_WORDS.split())
_MODELS_WORDS = """
magnetom aera amira altea avanto avanto_fit biograph_mmr cima.x concerto espree essenza free.max harmony lumina
prisma prisma_fit sempra skyra skyra_fit sola sonata spectra symphony symphonytim tim trio triotim verio vida vision
vision_fit terra mmr biograph signa hdx hdxt hde excite genesis_signa discovery mr mr450 mr450w mr750 mr750w optima
mr355 mr360 mr430s mr450 artist architect premier pioneer voyager creator explorer hero achieva dstream ambition
ingenia elition gyroscan intera panorama prodiva multiva evolution cx vantage titan galan orian elan centurian airis
echelon oval oasis aperto umr 560 570 580 588 770 780 790 880 somatom definition as as+ edge flash force confidence
go.open go.sim go.up pro sensation emotion open drive lightspeed brightspeed revolution rt rt16 pro16 bigbore big
bore brilliance ict ingenuity aquilion lb one prime eclipse truebeam clinac halcyon ethos trilogy novalis monaco xio
pinnacle pinnacle3 raystation syngo via vb vc rtplanning tps elements iplan precise synergy versa hd infinity unity
mridian cyberknife tomotherapy proteus probeam proteusplus proteusone 1.5t 3t 3.0t 7t 1t virtual flame
"""
_MODELS = frozenset(_MODELS_WORDS.split())
_SEQUENCE_NAME = re.compile(
    r"\*?(?:tfl|fl|fi|se|tse|tir|tirb|tirse|ir|irb|spc|spcir|spcr|spcrir|ep|epfid|epse|epir|re|de|ci|h|me|gre|mp2rage|tgse|fm|wip)"
    r"(?:_?[23]d)?[0-9]{0,2}(?:r(?:b|r|ri)?|_?[0-9]{1,3}(?:ns|r|rb)?|_r?rb?)?(?:_[0-9]{1,3}(?:ns|rb?)?)?",
    re.IGNORECASE | re.ASCII,
)
_DIFFUSION_NAME = re.compile(r"\*?ep_b[0-9]{1,4}(?:t|#[0-9]{1,3})?", re.ASCII)


def structure(name: str) -> str | None:
    """The standard name of a structure, or None where the name says nothing on the list, or more than one thing.

    `GTV_60`, `gtv t1 MARTIN` and `GTVp` are `GTV`; `nerf optique G` is `OpticNrv_L`. What is made of others, as
    `PTV-GTV`, `GTV+15mm` or `Brain minus PTV`, has no name: it would be taken for what it is not. Nor has a tumour that
    was drawn on FLAIR or T2, which holds oedema.
    """
    plain = "".join(one for one in unicodedata.normalize("NFKD", name) if not unicodedata.combining(one))
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Za-z])(?=[0-9])|(?<=[0-9])(?=[A-Za-z])", " ", plain)
    text = " ".join(re.findall(r"[a-z]+|[0-9]+", spaced.casefold()))
    if _DERIVED.search(text) or _ADDED.search(name):
        return None
    for phrase, word in _PHRASES:
        text = phrase.sub(word, text)
    if text in _ALONE:
        return _ALONE[text]
    words = text.split()
    found = {_CONCEPTS[word] for word in words if word in _CONCEPTS}
    if len(found) != 1:
        return None
    (concept,) = found
    if concept in ("GTV", "Tumour") and _ON_T2.search(text):
        return None
    sides = {_SIDES[word] for word in words if word in _SIDES} if concept in _SIDED else set()
    return concept + (sides.pop() if len(sides) == 1 else "")


@lru_cache(maxsize=4096)
def descriptor(text: str) -> str:
    """The allowed words of a description, in order, in lower case; empty where there are none.

    `T1_MPRAGE_SAG Dupont 12/03` becomes `t1 mprage sag`, `AXT1` becomes `ax t1`, `T1+C` becomes `t1 c+`.
    A denial stays: `T1 no contrast` becomes `t1 without contrast`.
    """
    lower = text.casefold()
    for pattern, word in _REWRITTEN:
        lower = pattern.sub(word, lower)
    words = re.findall(r"[a-z0-9.]+\+?", lower)
    kept: list[str] = []
    for word in words:
        bare = word.strip(".")
        for candidate in (bare, bare.rstrip("+")):
            if candidate in DESCRIPTOR_WORDS or _MILLIMETRES.fullmatch(candidate):
                kept.append(candidate)
                break
        else:
            kept.extend(_taken_apart(bare.rstrip("+")))
    return " ".join(kept)


def maker(text: str) -> str:
    """The allowed words of a manufacturer's name as they were written."""
    return _words(text, _MAKERS)


def model(text: str) -> str:
    """The allowed words of a device's model as they were written; a device's own number or nickname is none of them."""
    return _words(text, _MODELS | _MAKERS)


def sequence_name(text: str) -> str:
    """A pulse sequence's name if it is one that a scanner makes, as `*tfl3d1_16ns`; else the words of a description."""
    bare = text.strip()
    if _SEQUENCE_NAME.fullmatch(bare) or _DIFFUSION_NAME.fullmatch(bare):
        return bare
    return descriptor(bare)


def _words(text: str, allowed: frozenset[str]) -> str:
    return " ".join(word for word in re.findall(r"[A-Za-z0-9_.+]+", text) if word.casefold() in allowed)


def _taken_apart(word: str) -> list[str]:
    """Words that were written as one, where at least one holds a digit: names have none, so no name comes apart."""
    if len(word) > 24 or not any(one.isdigit() for one in word):
        return []
    ways: list[list[str] | None] = [[]] + [None] * len(word)
    for end in range(2, len(word) + 1):
        for start in range(end - 1):
            before = ways[start]
            if (
                before is not None
                and word[start:end] in _GLUED
                and (ways[end] is None or len(before) + 1 < len(ways[end] or []))
            ):
                ways[end] = [*before, word[start:end]]
    return ways[-1] or _without_prefix(word)


def _without_prefix(word: str) -> list[str]:
    """Philips writes `eT1W`, `sT2W`: one letter before what it is."""
    rest = word[1:]
    return [rest] if rest in DESCRIPTOR_WORDS and any(one.isdigit() for one in rest) else []
