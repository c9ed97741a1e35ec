from fastdht._ext.packets import Inbox
from fastdht._ext.udp import UdpSocket
from fastdht._ext.walks import LookupSlots

def exchange(
    slots: LookupSlots, sock: UdpSocket, inbox: Inbox, now_us: int, last_batch: int, is_crowded: bool
) -> int: ...
def settle(slots: LookupSlots, sock: UdpSocket, now_us: int, is_crowded: bool) -> int: ...
