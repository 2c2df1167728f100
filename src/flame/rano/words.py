"""The words of response assessment, English and French, in one table.

A place in braces is filled with a number or another entry. French takes a decimal comma, and a no-break space before
%, colons and semicolons; `word` puts it there.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

__all__ = ["WORDS", "Language", "number", "word"]

Language = Literal["en", "fr"]

WORDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "BL": ("baseline", "examen de référence"),
        "CR": ("complete response", "réponse complète"),
        "PR": ("partial response", "réponse partielle"),
        "SD": ("stable disease", "maladie stable"),
        "PD": ("progression", "progression"),
        "NE": ("not evaluable", "non évaluable"),
        "P-CR": ("preliminary complete response", "réponse complète préliminaire"),
        "P-PR": ("preliminary partial response", "réponse partielle préliminaire"),
        "P-PD": ("preliminary progression", "progression préliminaire"),
        "C-CR": ("confirmed complete response", "réponse complète confirmée"),
        "C-PR": ("confirmed partial response", "réponse partielle confirmée"),
        "C-PD": ("confirmed progression", "progression confirmée"),
        # rules, as clauses
        "rule.baseline": (
            "later exams are compared with this one",
            "les examens suivants sont comparés à celui-ci",
        ),
        "rule.baseline_outside_window": (
            "later exams are compared with this one, although it lies outside the preferred days {first} to {last}",
            "les examens suivants sont comparés à celui-ci, bien qu'il soit hors de la période préférée, jours {first} "
            "à {last}",
        ),
        "rule.baseline_after_surgery": (
            "first measured exam since surgery, with which later ones are compared",
            "premier examen mesuré depuis la chirurgie, auquel les suivants sont comparés",
        ),
        "rule.before_baseline": (
            "it lies before the end of radiotherapy, and comparison begins after that",
            "il précède la fin de la radiothérapie, et la comparaison commence après celle-ci",
        ),
        "rule.no_baseline": (
            "there is no baseline yet, and the {quantity} is not known here",
            "pas encore d'examen de référence, et valeur inconnue ({quantity})",
        ),
        "rule.quantity_unknown": ("the {quantity} is not known", "valeur inconnue ({quantity})"),
        "rule.confirmation_unknown": (
            "whether the preliminary progression is confirmed can't be told, as the {quantity} is not known",
            "la progression préliminaire ne peut être ni confirmée ni écartée, faute de valeur ({quantity})",
        ),
        "rule.progression_confirmed": (
            "it confirms the preliminary progression of day {value}",
            "il confirme la progression préliminaire du jour {value}",
        ),
        "rule.pseudoprogression": (
            "it does not confirm the preliminary progression of day {value}, which was pseudoprogression",
            "il ne confirme pas la progression préliminaire du jour {value}, qui était une pseudoprogression",
        ),
        "rule.after_progression": (
            "progression was established before, and nothing undoes it",
            "la progression a été établie auparavant, et rien ne l'annule",
        ),
        "rule.growth": (
            "growth over the {reference} of at least {increase} %{floor}",
            "augmentation d'au moins {increase} %{floor} par rapport {reference}",
        ),
        "rule.reappeared": (
            "a measurable lesion, where the {reference} showed no tumour",
            "lésion mesurable, alors qu'il n'y avait pas de tumeur {reference}",
        ),
        "rule.new_lesion": ("a new measurable lesion", "nouvelle lésion mesurable"),
        "rule.new_lesion_out_of_field": (
            "a new measurable lesion outside the radiation field",
            "nouvelle lésion mesurable hors du champ d'irradiation",
        ),
        "rule.non_target_worse": (
            "unequivocal growth of lesions that are not targets",
            "augmentation indiscutable des lésions non cibles",
        ),
        "rule.t2_worse": (
            "unequivocal growth of T2/FLAIR changes",
            "augmentation indiscutable des anomalies T2/FLAIR",
        ),
        "rule.clinical_worse": ("clinical decline", "dégradation clinique"),
        "rule.early_growth": (
            "up to day {early_until} growth within the radiation field does not count as progression",
            "jusqu'au jour {early_until}, une augmentation dans le champ d'irradiation ne compte pas comme progression",
        ),
        "rule.gone": ("no {region} is left", "disparition complète {region}"),
        "rule.shrunk": (
            "shrinkage from the baseline of at least {decrease} %",
            "diminution d'au moins {decrease} % par rapport à l'examen de référence",
        ),
        "rule.steroids_increased": (
            "{value} mg of dexamethasone a day, more than at the baseline, may be all that keeps the disease stable",
            "{value} mg de dexaméthasone par jour, plus qu'à l'examen de référence, suffisent peut-être à stabiliser "
            "la maladie",
        ),
        "rule.stable": (
            "neither progression nor a response is established",
            "ni progression ni réponse n'est établie",
        ),
        "rule.no_cr_baseline_measurable": (
            "no complete response, as no lesion was measurable at the baseline",
            "pas de réponse complète, car aucune lésion n'était mesurable à l'examen de référence",
        ),
        "rule.no_cr_clinical_worse": (
            "no complete response, because of clinical decline",
            "pas de réponse complète, en raison d'une dégradation clinique",
        ),
        "rule.no_cr_steroid_mg": (
            "no complete response, as steroids are above {physiological} mg of dexamethasone a day",
            "pas de réponse complète, car les corticoïdes dépassent {physiological} mg de dexaméthasone par jour",
        ),
        "rule.no_pr_baseline_measurable": (
            "no partial response, as no lesion was measurable at the baseline",
            "pas de réponse partielle, car aucune lésion n'était mesurable à l'examen de référence",
        ),
        "rule.no_pr_clinical_worse": (
            "no partial response, because of clinical decline",
            "pas de réponse partielle, en raison d'une dégradation clinique",
        ),
        "rule.no_pr_steroid_mg": (
            "no partial response, as steroids are above the dose at the baseline and {physiological} mg of "
            "dexamethasone a day",
            "pas de réponse partielle, car les corticoïdes dépassent la dose de l'examen de référence et "
            "{physiological} mg de dexaméthasone par jour",
        ),
        # what is compared, and what may be unknown
        "et_ml": ("volume of enhancing tumour", "volume de la prise de contraste"),
        "tc_ml": ("volume of the tumour core", "volume du cœur tumoral"),
        "spd_mm2": (
            "sum of products of perpendicular diameters",
            "somme des produits des diamètres perpendiculaires",
        ),
        "measurable": ("whether a lesion is measurable", "présence d'une lésion mesurable"),
        "baseline_measurable": (
            "whether a lesion was measurable at the baseline",
            "présence d'une lésion mesurable à l'examen de référence",
        ),
        "new_lesion": ("whether there is a new lesion", "présence d'une nouvelle lésion"),
        "non_target_worse": ("course of lesions that are not targets", "évolution des lésions non cibles"),
        "t2_worse": ("course of T2/FLAIR changes", "évolution des anomalies T2/FLAIR"),
        "clinical_worse": ("clinical state", "état clinique"),
        "steroid_mg": ("steroid dose", "dose de corticoïdes"),
        "surgery": ("surgery since the exam before", "chirurgie depuis l'examen précédent"),
        "region.et_ml": ("enhancing tumour", "de la prise de contraste"),
        "region.tc_ml": ("tumour core", "du cœur tumoral"),
        "region.spd_mm2": ("enhancing tumour", "de la prise de contraste"),
        "reference.nadir": ("nadir", "au nadir"),
        "reference.baseline": ("baseline", "à l'examen de référence"),
        # parts of an explanation
        "floor": (" and {value} {unit}", " et {value} {unit}"),
        "dated": (", dated from day {value}", ", datée du jour {value}"),
        "more": ("{value} % more than at the {name} (day {day})", "{value} % de plus qu'{name} (jour {day})"),
        "less": ("{value} % less than at the {name} (day {day})", "{value} % de moins qu'{name} (jour {day})"),
        "times": (
            "{value} times the value at the {name} (day {day})",
            "{value} fois la valeur mesurée {name} (jour {day})",
        ),
        "same": ("the same as at the {name} (day {day})", "comme {name} (jour {day})"),
        "from_nothing": ("from 0 at the {name} (day {day})", "valeur nulle {name} (jour {day})"),
        "no_change": (
            "no change in % from the baseline (day {day}) can be given",
            "pas de variation en % par rapport à l'examen de référence (jour {day})",
        ),
        "reference.both": ("baseline and nadir", "à l'examen de référence et au nadir"),
        "not_known": ("not known, though it could matter", "inconnu, alors que cela peut compter"),
        "indeterminate": (
            "indeterminate, as the accuracy of the measurements allows another status",
            "indéterminé, car la précision des mesures permet un autre statut",
        ),
        # endpoints
        "disease_control": ("disease control at 6 months", "contrôle de la maladie à 6 mois"),
        "objective_response": ("objective response at 6 months", "réponse objective à 6 mois"),
        "three_classes": (
            "response, stable disease or progression at 6 months",
            "réponse, maladie stable ou progression à 6 mois",
        ),
        "four_classes": ("CR, PR, SD or PD at 6 months", "CR, PR, SD ou PD à 6 mois"),
        "pfs_6": ("progression-free survival at 6 months", "survie sans progression à 6 mois"),
        "progression_free_120": (
            "no progression within 120 days of the baseline",
            "absence de progression dans les 120 jours suivant l'examen de référence",
        ),
        "progression_free_180": (
            "no progression within 180 days of the baseline",
            "absence de progression dans les 180 jours suivant l'examen de référence",
        ),
        "alive_6_months": ("alive at 6 months", "en vie à 6 mois"),
        "true_progression": ("early growth was true progression", "l'augmentation précoce était une vraie progression"),
        "unknown": ("unknown", "inconnue"),
        # criteria and treatment
        "rano_2010": ("RANO 2010", "RANO 2010"),
        "mrano_2017": ("mRANO 2017", "mRANO 2017"),
        "rano_2": ("RANO 2.0", "RANO 2.0"),
        "cfb_v2": ("CFB-GBM, volumetric", "CFB-GBM, volumétrique"),
        "photon": ("photons", "photons"),
        "proton": ("protons", "protons"),
        "carbon": ("carbon ions", "ions carbone"),
        "unit.photon": ("Gy", "Gy"),
        "unit.ion": ("Gy(RBE)", "Gy(EBR)"),
        # the table of a site
        "column.patient": ("patient", "patient"),
        "column.arm": ("arm", "bras"),
        "column.calls": ("calls", "statuts"),
        "column.best": ("best", "meilleure réponse"),
        "column.free": ("progression-free days", "jours sans progression"),
        "yes": ("yes", "oui"),
        "no": ("no", "non"),
        "assessed": (
            "{done} assessed, {left_out} left out: {folder}",
            "évaluation de {done}, {left_out} laissé(s) de côté : {folder}",
        ),
        "one_patient": ("1 patient", "1 patient"),
        "patients": ("{value} patients", "{value} patients"),
        # drawings
        "patient": (
            "patient {value}, {criteria}, best response: {best}",
            "patient {value}, {criteria}, meilleure réponse : {best}",
        ),
        "disclaimer": (
            "Research use only, not a medical device",
            "Pour la recherche uniquement, pas un dispositif médical",
        ),
        "axis.horizon": ("days since the end of radiotherapy", "jours depuis la fin de la radiothérapie"),
        "axis.et_ml": ("enhancing tumour [ml]", "prise de contraste [ml]"),
        "axis.tc_ml": ("tumour core [ml]", "cœur tumoral [ml]"),
        "axis.spd_mm2": ("sum of products [mm²]", "somme des produits [mm²]"),
        "legend.range": ("range of the measurement", "marge de la mesure"),
        "legend.pd": ("progression from here on", "seuil de progression"),
        "legend.pr": ("partial response up to here", "seuil de réponse partielle"),
        "legend.nadir": ("nadir", "nadir"),
        "legend.baseline": ("baseline", "examen de référence"),
        "legend.indeterminate": ("indeterminate call", "statut indéterminé"),
        "legend.radiotherapy": ("radiotherapy", "radiothérapie"),
        "legend.preliminary": (
            "until day {value}: progression is preliminary",
            "jusqu'au jour {value} : progression préliminaire",
        ),
        "legend.not_counted": (
            "until day {value}: growth does not count",
            "jusqu'au jour {value} : augmentation non comptée",
        ),
        "death": ("death, day {value}", "décès, jour {value}"),
        "last_contact": ("last contact, day {value}", "dernières nouvelles, jour {value}"),
        "day": ("day {value}", "jour {value}"),
        "target": ("target", "cible"),
        "new": ("new", "nouvelle"),
        "no_target": ("not a target", "non cible"),
        "is_measurable": ("measurable", "mesurable"),
        "not_measurable": ("not measurable", "non mesurable"),
        "slice": ("slice {value} of {of}", "coupe {value} sur {of}"),
        "no_lesion": ("no enhancing lesion", "pas de lésion rehaussée"),
        "no_image": ("no image", "pas d'image"),
        "no_label_map": ("no exam has a label map", "aucun examen n'a de segmentation"),
        "more_lesions": ("and {value} more", "et {value} de plus"),
        "long_diameter": ("longest diameter", "plus grand diamètre"),
        "perpendicular_diameter": ("perpendicular diameter", "diamètre perpendiculaire"),
        "outline": ("outline of enhancing tumour", "contour de la prise de contraste"),
        "left": ("L", "G"),
        "right": ("R", "D"),
        "diameters_of": ("diameters of patient {value}, {criteria}", "diamètres du patient {value}, {criteria}"),
    }
)
"""Key -> English, French. Codes and names of quantities, unknowns and endpoints are keys as they are; a rule's key
begins with `rule.`."""


def word(key: str, language: Language, **places: str) -> str:
    """An entry of `WORDS` with its places filled.

    Raises: KeyError: if there is no such entry, or a place is not given.
    """
    text = WORDS[key][("en", "fr").index(language)].format_map(places)
    return text if language == "en" else re.sub(" (?=[%:;])", "\u00a0", text)


def number(value: float, language: Language, decimals: int = 0) -> str:
    """A number as the language writes it; trailing zeros stay, a minus is a minus sign."""
    text = f"{value:.{decimals}f}"
    text = text.removeprefix("-") if float(text) == 0 else text.replace("-", "−")
    return text if language == "en" else text.replace(".", ",")
