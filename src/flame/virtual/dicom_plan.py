"""Plans and treatment records of the made-up hospital: RT Plan for photons, RT Ion Plan for protons and carbon ions."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pydicom.dataset import Dataset
from pydicom.uid import (
    RTBeamsTreatmentRecordStorage,
    RTIonBeamsTreatmentRecordStorage,
    RTIonPlanStorage,
    RTPlanStorage,
    RTStructureSetStorage,
)

from flame.physics.dose import BOOST_FRACTIONS, BOOST_GY
from flame.records.patient import Course
from flame.virtual.course import schedule
from flame.virtual.dicom_file import Chart, Series, begin, ds, reference
from flame.virtual.dicom_rt import Planning

__all__ = ["PlanPart", "plan_dataset", "plan_parts", "treatment_records"]

Particle = Literal["photon", "proton", "carbon"]

_ANGLES: dict[Particle, tuple[float, ...]] = {
    "photon": (181.0, 179.0),
    "proton": (60.0, 300.0),
    "carbon": (90.0, 270.0),
}
"""Gantry angles [degree]: made up, for the trial's own beams are directions and not machines."""

_MACHINES: dict[Particle, str] = {"photon": "LINAC1", "proton": "PROTON1", "carbon": "HIT1"}
_ENERGY: dict[Particle, float] = {"photon": 6.0, "proton": 150.0, "carbon": 290.0}
"""Nominal energy [MV, MeV, MeV per nucleon]."""


@dataclass(frozen=True)
class PlanPart:
    """One plan of a course: equal fractions of one particle, from fraction `first` (from 1) of the course on."""

    particle: Particle
    prescription_gy: float
    fractions: int
    first: int
    label: str
    instance: str

    @property
    def sop_class(self) -> str:
        """SOP class of its plan."""
        return str(RTPlanStorage if self.particle == "photon" else RTIonPlanStorage)


def plan_parts(chart: Chart, planning: Planning, course: Course) -> tuple[PlanPart, ...]:
    """The plans of a course: one, or for the carbon arm protons and a carbon boost."""

    def part(particle: Particle, dose_gy: float, fractions: int, first: int, label: str) -> PlanPart:
        instance = chart.uid(planning.study.uid, "plan", label)
        return PlanPart(particle, round(dose_gy, 6), fractions, first, label, instance)

    if course.arm != "carbon":
        return (part(course.arm, course.prescription_gy, course.fractions, 1, "GBM"),)
    before = course.fractions - BOOST_FRACTIONS
    return (
        part("proton", course.prescription_gy - BOOST_GY, before, 1, "GBM"),
        part("carbon", BOOST_GY, BOOST_FRACTIONS, before + 1, "GBM boost"),
    )


def plan_dataset(chart: Chart, planning: Planning, part: PlanPart, number: int) -> Dataset:
    """The RTPLAN or RT Ion Plan of one part; `number` is its series'."""
    series = Series(chart.uid(planning.study.uid, "RTPLAN", part.label), number, "RTPLAN", part.label)
    dataset = begin(chart, planning.study, series, part.sop_class, part.instance)
    dataset.Manufacturer = chart.department.planning_maker
    dataset.ManufacturerModelName = chart.department.planning_model
    dataset.FrameOfReferenceUID = planning.frame
    dataset.PositionReferenceIndicator = ""
    dataset.RTPlanLabel = part.label
    dataset.RTPlanDate, dataset.RTPlanTime = dataset.SeriesDate, dataset.SeriesTime
    dataset.RTPlanGeometry = "PATIENT"
    dataset.PlanIntent = "CURATIVE"
    dataset.PrescriptionDescription = f"{part.prescription_gy:g} Gy in {part.fractions}"
    dataset.ReferencedStructureSetSequence = [reference(RTStructureSetStorage, planning.structure_set)]
    dataset.DoseReferenceSequence = [_prescription(part)]
    dataset.ApprovalStatus = "APPROVED"
    dataset.ReviewDate, dataset.ReviewTime = dataset.SeriesDate, dataset.SeriesTime
    dataset.ReviewerName = chart.identity.physician
    dataset.FractionGroupSequence = [_fractions(part)]
    setup = Dataset()
    setup.PatientSetupNumber, setup.PatientPosition = 1, "HFS"
    dataset.PatientSetupSequence = [setup]
    beams = [_beam(part, at) for at in range(1, len(_ANGLES[part.particle]) + 1)]
    if part.particle == "photon":
        dataset.BeamSequence = beams
    else:
        dataset.IonBeamSequence = beams
    return dataset


def treatment_records(chart: Chart, planning: Planning, parts: tuple[PlanPart, ...]) -> Iterator[Dataset]:
    """One record for every fraction, five a week from day 0."""
    for part in parts:
        ion = part.particle != "photon"
        sop_class = str(RTIonBeamsTreatmentRecordStorage if ion else RTBeamsTreatmentRecordStorage)
        series = Series(chart.uid(planning.study.uid, "RTRECORD", part.label), 20 + part.first, "RTRECORD", part.label)
        for fraction in range(1, part.fractions + 1):
            dataset = begin(chart, planning.study, series, sop_class, chart.uid(series.uid, fraction))
            _record(chart, dataset, part, fraction)
            yield dataset


def _prescription(part: PlanPart) -> Dataset:
    item = Dataset()
    item.DoseReferenceNumber = 1
    item.DoseReferenceStructureType = "SITE"
    item.DoseReferenceDescription = "PTV"
    item.DoseReferenceType = "TARGET"
    item.TargetPrescriptionDose = ds(part.prescription_gy)[0]
    return item


def _fractions(part: PlanPart) -> Dataset:
    item = Dataset()
    angles = _ANGLES[part.particle]
    item.FractionGroupNumber = 1
    item.NumberOfFractionsPlanned = part.fractions
    item.NumberOfBeams, item.NumberOfBrachyApplicationSetups = len(angles), 0
    beams = []
    for number in range(1, len(angles) + 1):
        beam = Dataset()
        beam.ReferencedBeamNumber = number
        beam.BeamDose = ds(part.prescription_gy / part.fractions / len(angles))[0]
        beam.BeamMeterset = "100"
        beams.append(beam)
    item.ReferencedBeamSequence = beams
    return item


def _describe_beam(beam: Dataset, part: PlanPart, number: int) -> None:
    """What a plan and a record both say of a beam."""
    ion = part.particle != "photon"
    beam.BeamName = f"{part.particle} {number}"
    beam.BeamType = "STATIC"
    beam.RadiationType = {"photon": "PHOTON", "proton": "PROTON", "carbon": "ION"}[part.particle]
    if part.particle == "carbon":
        beam.RadiationMassNumber, beam.RadiationAtomicNumber, beam.RadiationChargeState = 12, 6, 6
    if ion:
        beam.ScanMode = "MODULATED"
        beam.NumberOfRangeShifters = beam.NumberOfLateralSpreadingDevices = beam.NumberOfRangeModulators = 0
        beam.PatientSupportType = "TABLE"
    beam.NumberOfWedges = beam.NumberOfCompensators = beam.NumberOfBoli = beam.NumberOfBlocks = 0


def _beam(part: PlanPart, number: int) -> Dataset:
    ion = part.particle != "photon"
    beam = Dataset()
    _describe_beam(beam, part, number)
    beam.TreatmentMachineName = _MACHINES[part.particle]
    beam.PrimaryDosimeterUnit = "NP" if ion else "MU"
    beam.BeamNumber = number
    beam.TreatmentDeliveryType = "TREATMENT"
    beam.FinalCumulativeMetersetWeight = "1"
    beam.NumberOfControlPoints = 2
    if ion:
        beam.VirtualSourceAxisDistances = [2000.0, 2500.0]
        beam.IonControlPointSequence = [_control_point(part, number, at) for at in (0, 1)]
        return beam
    beam.SourceAxisDistance = "1000"
    jaws = []
    for name in ("ASYMX", "ASYMY"):
        jaw = Dataset()
        jaw.RTBeamLimitingDeviceType, jaw.NumberOfLeafJawPairs = name, 1
        jaws.append(jaw)
    beam.BeamLimitingDeviceSequence = jaws
    beam.ControlPointSequence = [_control_point(part, number, at) for at in (0, 1)]
    return beam


def _control_point(part: PlanPart, number: int, index: int) -> Dataset:
    """The first control point says everything, the last how much was given."""
    point = Dataset()
    point.ControlPointIndex = index
    point.CumulativeMetersetWeight = str(index)
    if part.particle != "photon":
        point.ScanSpotTuneID, point.NumberOfScanSpotPositions = "1.0", 1
        point.ScanSpotPositionMap, point.ScanSpotMetersetWeights = [0.0, 0.0], [float(1 - index)]
        point.NumberOfPaintings = 1
        point.NominalBeamEnergy = ds(_ENERGY[part.particle])[0]
    if index:
        return point
    point.NominalBeamEnergy = ds(_ENERGY[part.particle])[0]
    point.GantryAngle, point.GantryRotationDirection = ds(_ANGLES[part.particle][number - 1])[0], "NONE"
    point.BeamLimitingDeviceAngle, point.BeamLimitingDeviceRotationDirection = "0", "NONE"
    point.PatientSupportAngle, point.PatientSupportRotationDirection = "0", "NONE"
    point.IsocenterPosition = ds(0, 0, 0)
    for name in ("Pitch", "Roll"):
        setattr(point, f"TableTop{name}Angle", 0.0)
        setattr(point, f"TableTop{name}RotationDirection", "NONE")
    for name in ("Vertical", "Longitudinal", "Lateral"):
        setattr(point, f"TableTop{name}Position", None)
    if part.particle == "photon":
        point.TableTopEccentricAngle, point.TableTopEccentricRotationDirection = "0", "NONE"
        jaws = []
        for name in ("ASYMX", "ASYMY"):
            jaw = Dataset()
            jaw.RTBeamLimitingDeviceType, jaw.LeafJawPositions = name, ds(-50, 50)
            jaws.append(jaw)
        point.BeamLimitingDevicePositionSequence = jaws
    return point


def _record(chart: Chart, dataset: Dataset, part: PlanPart, fraction: int) -> None:
    ion = part.particle != "photon"
    when = chart.identity.on(schedule(part.first + fraction - 1)).strftime("%Y%m%d")
    dataset.InstanceNumber = fraction
    dataset.SeriesDate = chart.identity.on(schedule(part.first)).strftime("%Y%m%d")
    dataset.InstanceCreationDate, dataset.InstanceCreationTime = when, "103000"
    dataset.TreatmentDate, dataset.TreatmentTime = when, "103000"
    dataset.ReferencedRTPlanSequence = [reference(part.sop_class, part.instance)]
    machine = Dataset()
    machine.TreatmentMachineName = _MACHINES[part.particle]
    machine.Manufacturer = chart.department.planning_maker
    machine.InstitutionName = chart.department.institution
    machine.ManufacturerModelName, machine.DeviceSerialNumber = "", "TM0001"
    dataset.TreatmentMachineSequence = [machine]
    dataset.NumberOfFractionsPlanned = part.fractions
    dataset.PrimaryDosimeterUnit = "NP" if ion else "MU"
    beams = [_delivered(part, number, fraction, when) for number in range(1, len(_ANGLES[part.particle]) + 1)]
    if ion:
        dataset.TreatmentSessionIonBeamSequence = beams
    else:
        dataset.TreatmentSessionBeamSequence = beams


def _delivered(part: PlanPart, number: int, fraction: int, when: str) -> Dataset:
    ion = part.particle != "photon"
    beam = Dataset()
    _describe_beam(beam, part, number)
    beam.ReferencedBeamNumber = number
    beam.CurrentFractionNumber = fraction
    beam.TreatmentDeliveryType = "TREATMENT"
    beam.TreatmentTerminationStatus = "NORMAL"
    beam.TreatmentVerificationStatus = "VERIFIED"
    beam.DeliveredPrimaryMeterset = "100"
    beam.NumberOfControlPoints = 2
    points = []
    for index in (0, 1):
        point = _control_point(part, number, index)
        del point.CumulativeMetersetWeight, point.ControlPointIndex
        point.ReferencedControlPointIndex = index
        if index == 0:
            del point.IsocenterPosition
        if ion:
            del point.ScanSpotMetersetWeights
            point.ScanSpotMetersetsDelivered = [float(100 * (1 - index))]
        point.TreatmentControlPointDate, point.TreatmentControlPointTime = when, "103000"
        point.SpecifiedMeterset = point.DeliveredMeterset = str(100 * index)
        if not ion:
            point.DoseRateSet = point.DoseRateDelivered = None
        points.append(point)
    if ion:
        beam.IonControlPointDeliverySequence = points
    else:
        beam.ControlPointDeliverySequence = points
    return beam
