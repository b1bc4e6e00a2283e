"""LArTPC charge readout: from ionisation steps to the charge that pixels collect."""
