from fastdht._ext.core import Core
from fastdht._ext.packets import Inbox
from fastdht._ext.udp import UdpSocket

PATIENCE_US: int

def run_rounds(core: Core, sock: UdpSocket, inbox: Inbox) -> int: ...
