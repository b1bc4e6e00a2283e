"""Physical constants, each with its unit and source.

PDG: S. Navas et al. (Particle Data Group), Phys. Rev. D 110 (2024) 030001, and its tables of atomic and nuclear
properties of materials (liquid argon, https://pdg.lbl.gov/AtomicNuclearProperties).
"""

from __future__ import annotations

# Particles, PDG
ELECTRON_MASS_MEV = 0.51099895  # MeV/c^2
MUON_MASS_MEV = 105.6583755  # MeV/c^2
PROTON_MASS_MEV = 938.27208816  # MeV/c^2
MUON_PDG_ID = 13  # mu-
PROTON_PDG_ID = 2212

SPEED_OF_LIGHT_CM_PER_US = 29979.2458  # cm/us, exact
STOPPING_CONSTANT_MEV_CM2_PER_MOL = 0.307075  # 4 pi N_A r_e^2 m_e c^2, PDG

# Liquid argon at its boiling point
ARGON_ATOMIC_NUMBER = 18
ARGON_MOLAR_MASS_G = 39.948  # g/mol, PDG
ARGON_EXCITATION_MEV = 188.0e-6  # mean excitation energy, PDG
ARGON_DENSITY_G_PER_CM3 = 1.396  # g/cm^3 at 87.3 K, PDG

# Density effect in liquid argon: R. M. Sternheimer, M. J. Berger, S. M. Seltzer, At. Data Nucl. Data Tables 30 (1984)
# 261, as used by D. E. Groom, N. V. Mokhov, S. I. Striganov, At. Data Nucl. Data Tables 78 (2001) 183
ARGON_STERNHEIMER_C = 5.2146
ARGON_STERNHEIMER_A = 0.19559
ARGON_STERNHEIMER_K = 3.0
ARGON_STERNHEIMER_X0 = 0.2
ARGON_STERNHEIMER_X1 = 3.0

# Ionisation and scintillation of liquid argon
ION_PAIR_ENERGY_MEV = 23.6e-6  # M. Miyajima et al., Phys. Rev. A 9 (1974) 1438 and 10 (1974) 1452
PHOTON_ENERGY_MEV = 19.5e-6  # per quantum; LArIAT, W. Foreman et al., Phys. Rev. D 101 (2020) 012010, arXiv:1909.07920
